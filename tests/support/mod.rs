//! Code that the suites share: the machine of a test, the supervisor on it, and the servers that it
//! sends to.

#![allow(dead_code, reason = "no suite uses all of it")]

pub mod cgroup;
pub mod conf;
pub mod fuse;
pub mod harness;
pub mod process;
pub mod servers;
pub mod slack_rules;
pub mod stand_in;
pub mod upstart;

//! What people and supervisors can ask for, a file a verb.

pub mod check;

//! This program, to be started again.

use std::env;
use std::io;
use std::path::PathBuf;

/// This program's file. Without `/proc` it is what we were called by, where that is a whole path.
pub fn program() -> io::Result<PathBuf> {
    env::current_exe().or_else(|why| {
        let called = env::args_os().next().map(PathBuf::from).filter(|path| path.is_absolute());
        called.ok_or(why)
    })
}

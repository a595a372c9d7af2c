//! What lies beneath an error: a port in use, a full disk, a missing file, told by the system's own words for it.

use super::aftermath;
use crate::report::Death;

/// The kind that an error's words show; `None` where they show none of these.
pub fn kind(what: &str) -> Option<Death> {
    let low = what.to_ascii_lowercase();
    let says = |words: &[&str]| aftermath::says(&low, words);
    Some(if says(&["eaddrinuse", "address already in use", "addrinuse", "errno 98"]) {
        Death::PortInUse
    } else if says(&["enospc", "no space left on device", "disk is full", "disk quota exceeded", "edquot"]) {
        Death::DiskFull
    } else if says(&["emfile", "enfile", "too many open files"]) {
        Death::TooManyFiles
    } else if says(&[
        "econnrefused",
        "connection refused",
        "connectionrefused",
        "enotfound",
        "eai_again",
        "ehostunreach",
        "enetunreach",
        "etimedout",
        "no route to host",
        "network is unreachable",
        "name resolution",
        "name or service not known",
        "no such host",
        "unknownhostexception",
        "getaddrinfo failed",
        "connection timed out",
    ]) {
        Death::DependencyUnreachable
    } else if says(&["eacces", "eperm", "permission denied", "permissiondenied", "operation not permitted"]) {
        Death::Permission
    } else if says(&["enoent", "no such file or directory", "nosuchfileexception", "filenotfoundexception"]) {
        Death::NoSuchFile
    } else {
        return None;
    })
}

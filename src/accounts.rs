//! The machine's users, as `/etc/passwd` and `/etc/group` have them: see `passwd(5)`. A static
//! binary has no other place to ask.

use std::io;

use anyhow::{Context, Result, ensure};

use crate::host::Host;

/// The group of a user whose number stands in no file: `nogroup`, which owns nothing.
const NO_GROUP: u32 = 65_534;

/// A line of `/etc/passwd`.
#[derive(Debug, PartialEq, Eq)]
pub struct PasswdEntry {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// A user's number and groups, as a process has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// All groups, `gid` included.
    pub groups: Vec<u32>,
}

/// Returns the user of this name or number. A number need not be in `/etc/passwd`.
///
/// # Errors
/// If there is no such user.
pub fn identity(user: &str, host: &Host) -> Result<Identity> {
    let number = user.parse().ok();
    // Two names may share a number, each with groups of its own.
    let is_it =
        |account: &PasswdEntry| number.map_or(account.name == user, |uid| account.uid == uid);
    let account = match find(host, is_it) {
        // A number needs no name.
        Err(_) if number.is_some() => None,
        found => found.context("cannot read /etc/passwd")?,
    };
    let uid = number
        .or(account.as_ref().map(|account| account.uid))
        .context("this user is not in /etc/passwd; name an existing user, or a user's number")?;
    ensure!(uid != u32::MAX, "no user can have this number");
    let groups = account.map_or_else(|| vec![NO_GROUP], |account| groups_of(&account, host));
    let gid = groups.first().copied().unwrap_or(NO_GROUP);
    Ok(Identity { uid, gid, groups })
}

/// Returns the account of a user; `None` if it has none or cannot be read.
pub fn of(uid: u32, host: &Host) -> Option<PasswdEntry> {
    find(host, |account| account.uid == uid).ok().flatten()
}

/// Returns the groups of a user.
pub fn groups(uid: u32, host: &Host) -> Vec<u32> {
    of(uid, host).map_or_else(Vec::new, |account| groups_of(&account, host))
}

fn groups_of(account: &PasswdEntry, host: &Host) -> Vec<u32> {
    let mut groups = vec![account.gid];
    let _ = host.find_line("/etc/group", |line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_in = fields
            .get(3)
            .is_some_and(|members| members.split(',').any(|name| name == account.name));
        if is_in {
            groups.extend(fields.get(2).and_then(|gid| gid.parse::<u32>().ok()));
        }
        None::<()>
    });
    groups
}

fn find(host: &Host, is_wanted: impl Fn(&PasswdEntry) -> bool) -> io::Result<Option<PasswdEntry>> {
    host.find_line("/etc/passwd", |line| account(line).filter(&is_wanted))
}

fn account(line: &str) -> Option<PasswdEntry> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(PasswdEntry { name, uid, gid })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn machine(passwd: &str, group: &str) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        fs::write(root.path().join("etc/group"), group).unwrap();
        let host = Host::new(root.path(), root.path());
        (root, host)
    }

    #[test]
    fn the_last_user_of_a_long_list_is_found() {
        let user = |n: u32| format!("user{n}:x:{0}:{0}::/home/user{n}:/bin/sh\n", 10_000 + n);
        let many = (0..5000).map(user).collect::<Vec<_>>().concat();
        let (_root, host) = machine(
            &format!("{many}www-app:x:33:44::/:/bin/false"),
            "adm:x:4:syslog,www-app\nempty:x:5:\n",
        );
        assert_eq!(identity("www-app", &host).unwrap().uid, 33);
        assert_eq!(of(33, &host).unwrap().name, "www-app");
        assert_eq!(groups(33, &host), [44, 4]);
        assert!(identity("www", &host).is_err());
        assert_eq!(identity("77", &host).unwrap().uid, 77);
    }

    #[test]
    fn a_number_that_no_file_knows_is_a_user_without_groups_and_such_a_name_is_an_error() {
        let (_root, host) = machine("www:x:33:44::/:/bin/false\n", "adm:x:4:www\n");
        let www = Identity {
            uid: 33,
            gid: 44,
            groups: vec![44, 4],
        };
        assert_eq!(identity("www", &host).unwrap(), www);
        assert_eq!(identity("33", &host).unwrap(), www);
        let unknown = identity("54321", &host).unwrap();
        assert_eq!((unknown.uid, unknown.groups), (54_321, vec![NO_GROUP]));
        // The system calls take the greatest number for "no change".
        for no_user in ["ww", "", "-1", "4294967295", "4294967296"] {
            assert!(identity(no_user, &host).is_err(), "{no_user}");
        }
    }

    #[test]
    fn each_of_two_names_with_one_number_has_its_own_groups() {
        let (_root, host) = machine(
            "web:x:7:8::/:\nwebadmin:x:7:9::/:\n",
            "adm:x:4:webadmin\nssl:x:5:web\n",
        );
        let groups = |user| identity(user, &host).unwrap().groups;
        assert_eq!(groups("web"), [8, 5]);
        assert_eq!(groups("webadmin"), [9, 4]);
        assert_eq!(groups("7"), [8, 5]);
    }

    #[test]
    fn a_line_of_any_length_hides_no_other() {
        let (_root, host) = machine(&format!("{}\nweb:x:7:8::/:\n", "x:".repeat(100_000)), "");
        assert_eq!(identity("web", &host).unwrap().uid, 7);
        assert_eq!(of(9, &host), None);
    }
}

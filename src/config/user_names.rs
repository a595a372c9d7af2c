//! The users that the files name. They are read from the parsed text, so that a user who does not
//! exist is told with the place.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Severity, Source};
use crate::accounts;
use crate::host::Host;

/// The values of `user` in one table: its own, and those of its collectors and sinks.
#[derive(Default)]
pub struct UserNames(Vec<Spanned<String>>);

impl UserNames {
    pub fn of(table: &DeTable) -> Self {
        let programs = ["collect", "sink"].into_iter().flat_map(|kind| {
            let kinds = table.get(kind).and_then(|it| it.get_ref().as_table());
            kinds.into_iter().flat_map(|kinds| exec(kinds))
        });
        let named = [table].into_iter().chain(programs).filter_map(|table| {
            let user = table.get("user")?;
            let name = user.get_ref().as_str()?.to_owned();
            Some(Spanned::new(user.span(), name))
        });
        Self(named.collect())
    }

    /// Returns an error for each user that does not exist.
    pub fn problems(&self, source: &Source, host: &Host) -> Vec<Problem> {
        let unknown = self.0.iter().filter_map(|user| {
            let why = accounts::identity(user.get_ref(), host).err()?;
            let message = format!("no user `{}`: {why:#}", user.get_ref());
            Some(source.problem(&user.span(), Severity::Error, &message, None))
        });
        unknown.collect()
    }
}

/// Returns the tables of the kind `exec`, which alone has the key.
fn exec<'a, 's>(kinds: &'a DeTable<'s>) -> impl Iterator<Item = &'a DeTable<'s>> {
    let list = kinds.get("exec").and_then(|it| it.get_ref().as_array());
    list.into_iter()
        .flat_map(|list| list.iter())
        .filter_map(|it: &Spanned<DeValue>| it.get_ref().as_table())
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::super::tests::{SINK, config, told};
    use crate::host::Host;

    #[test]
    fn a_user_that_does_not_exist_is_told_with_the_place_of_its_key() {
        let machine = format!(
            "{SINK}[[sink.exec]]\nname = 'x'\ncommand = ['true']\nuser = 'nosuch1'\n\
             [default]\nuser = 'root'\n"
        );
        let job = "user = 'nosuch2'\n[[collect.exec]]\nname = 'y'\ncommand = ['true']\n\
                   user = 'nosuch3'\n[[collect.exec]]\nname = 'z'\ncommand = ['true']\nuser = '7'\n";
        let dir = config(&[("lastwords.toml", &machine), ("jobs/web.toml", job)]);
        let checked = check(dir.path(), &Host::new("/", dir.path()), &[]);
        let line = machine.lines().position(|line| line.contains("nosuch1"));
        let why = "this user is not in /etc/passwd; name an existing user, or a user's number";
        let expected = [
            format!(
                "lastwords.toml:{}:8: no user `nosuch1`: {why}",
                line.unwrap() + 1
            ),
            format!("jobs/web.toml:1:8: no user `nosuch2`: {why}"),
            format!("jobs/web.toml:5:8: no user `nosuch3`: {why}"),
        ];
        assert_eq!(told(dir.path(), &checked.problems), expected);
    }
}

//! Decides which reports go when the spool holds too much. It is a pure decision.
//!
//! First go the reports that every sink took: those that users' hooks made before root's, and the
//! oldest first. Then, of crashes that are the same
//! (a loop), those between the first and the last. Then the oldest, dead letters before those that
//! still wait.

use std::collections::BTreeMap;

use super::Place;
use crate::report::ReportId;

/// An entry, as far as this decision needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredReport {
    pub id: ReportId,
    pub place: Place,
    /// Size on the disk, in bytes.
    pub bytes: u64,
    /// The user whose hook made it, unless that was root.
    pub user: Option<u32>,
}

/// The amount that has to go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Excess {
    pub entries: usize,
    pub bytes: u64,
    /// Number of bytes that the disk lacks of what is to be kept free. Others have filled the disk,
    /// so no report goes for it that may be all that tells of a crash.
    pub disk: u64,
}

impl Excess {
    /// Returns true if nothing more has to go.
    pub fn is_gone(self) -> bool {
        self == Self::default()
    }

    fn less(self, entry: &StoredReport) -> Self {
        Self {
            entries: self.entries.saturating_sub(1),
            bytes: self.bytes.saturating_sub(entry.bytes),
            disk: self.disk.saturating_sub(entry.bytes),
        }
    }
}

/// Returns which reports go that every sink took, of `entries` that come oldest first, and what
/// then still has to go.
pub fn delivered(entries: &[StoredReport], excess: Excess) -> (Vec<&StoredReport>, Excess) {
    let done = entries.iter().filter(|entry| entry.place == Place::Done);
    take(users_first(done.collect()).into_iter(), excess)
}

/// Sorts reports, which come oldest first, by the order in which they go. No user's report goes for
/// another user's that has more newer ones behind it, and none of root's for a user's.
fn users_first(entries: Vec<&StoredReport>) -> Vec<&StoredReport> {
    let mut newer: BTreeMap<u32, usize> = BTreeMap::new();
    let (mut of_users, mut roots) = (Vec::new(), Vec::new());
    for entry in entries.into_iter().rev() {
        if let Some(user) = entry.user {
            let newer = newer.entry(user).or_default();
            of_users.push((*newer, entry));
            *newer += 1;
        } else {
            roots.push(entry);
        }
    }
    of_users.reverse();
    of_users.sort_by_key(|(newer, _)| std::cmp::Reverse(*newer));
    let of_users = of_users.into_iter().map(|(_, entry)| entry);
    of_users.chain(roots.into_iter().rev()).collect()
}

/// Returns which of the others go. `group` tells which crashes are the same.
pub fn undelivered(
    entries: &[StoredReport],
    excess: Excess,
    group: impl Fn(&StoredReport) -> Option<String>,
) -> Vec<&StoredReport> {
    let (middles, mut rest) = split_loops(
        entries
            .iter()
            .filter(|entry| entry.place != Place::Done)
            .collect(),
        group,
    );
    let (mut gone, excess) = take(middles.into_iter(), excess);
    rest.sort_by_key(|entry| (entry.place == Place::New, entry.user.is_none()));
    gone.extend(take(rest.into_iter(), Excess { disk: 0, ..excess }).0);
    gone
}

/// Takes as many of these, from the first, as have to go. Returns what then still has to go.
fn take<'e>(
    entries: impl Iterator<Item = &'e StoredReport>,
    mut excess: Excess,
) -> (Vec<&'e StoredReport>, Excess) {
    let mut gone = Vec::new();
    for entry in entries {
        if excess.is_gone() {
            break;
        }
        excess = excess.less(entry);
        gone.push(entry);
    }
    (gone, excess)
}

/// Parts the middles of loops from the rest. Both stay oldest first.
fn split_loops(
    entries: Vec<&StoredReport>,
    group: impl Fn(&StoredReport) -> Option<String>,
) -> (Vec<&StoredReport>, Vec<&StoredReport>) {
    let mut last_of: BTreeMap<String, usize> = BTreeMap::new();
    let mut is_middle = vec![false; entries.len()];
    let mut first_seen: BTreeMap<String, usize> = BTreeMap::new();
    for (i, entry) in entries.iter().enumerate() {
        let Some(group) = group(entry) else { continue };
        let first = *first_seen.entry(group.clone()).or_insert(i);
        // The previous crash was the last so far. If it is not the first, it is in the middle now.
        if let Some(before) = last_of.insert(group, i).filter(|before| *before != first)
            && let Some(middle) = is_middle.get_mut(before)
        {
            *middle = true;
        }
    }
    let mut middle = is_middle.into_iter();
    entries
        .into_iter()
        .partition(|_| middle.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Timestamp;

    /// Reads a letter an entry, oldest first: `d` delivered, or a digit for a user's; `x` dead;
    /// capitals wait, and the same letter is the same crash.
    fn entries(letters: &str) -> Vec<StoredReport> {
        let entry = |(i, letter): (usize, char)| StoredReport {
            id: ReportId::new(Timestamp::of_unix(i as u64), u64::from(letter)),
            place: match letter {
                'd' | '0'..='9' => Place::Done,
                'x' => Place::Dead,
                _ => Place::New,
            },
            bytes: 10,
            user: letter.to_digit(10),
        };
        letters.chars().enumerate().map(entry).collect()
    }

    /// Returns the positions of what goes; first of what was delivered, then of what was not.
    fn goes(letters: &str, excess: Excess) -> (Vec<usize>, Vec<usize>) {
        let all = entries(letters);
        let letter = |entry: &StoredReport| entry.id.as_str()[16..].to_owned();
        let (delivered, excess) = delivered(&all, excess);
        let group = |entry: &StoredReport| (entry.place == Place::New).then(|| letter(entry));
        let undelivered = if excess.is_gone() {
            Vec::new()
        } else {
            undelivered(&all, excess, group)
        };
        let positions = |list: &[&StoredReport]| {
            list.iter()
                .map(|gone| all.iter().position(|it| it == *gone).unwrap())
                .collect()
        };
        (positions(&delivered), positions(&undelivered))
    }

    fn entries_over(entries: usize) -> Excess {
        Excess {
            entries,
            ..Excess::default()
        }
    }

    #[test]
    fn nothing_goes_where_nothing_has_to() {
        assert_eq!(goes("dAxA", Excess::default()), (vec![], vec![]));
    }

    #[test]
    fn what_was_delivered_goes_first_and_the_oldest_of_it() {
        assert_eq!(goes("AddxdA", entries_over(2)), (vec![1, 2], vec![]));
        assert_eq!(
            goes(
                "AddxdA",
                Excess {
                    bytes: 15,
                    ..Excess::default()
                }
            ),
            (vec![1, 2], vec![])
        );
    }

    #[test]
    fn a_users_history_goes_before_roots_and_of_two_users_that_of_the_one_with_more() {
        assert_eq!(goes("d11d2A11", entries_over(2)), (vec![1, 2], vec![]));
        assert_eq!(
            goes("d11d2A11", entries_over(5)),
            (vec![1, 2, 6, 4, 7], vec![])
        );
        assert_eq!(
            goes("d11d2A11", entries_over(6)),
            (vec![1, 2, 6, 4, 7, 0], vec![])
        );
    }

    #[test]
    fn then_the_middle_of_loops_goes_and_their_first_and_last_stay() {
        assert_eq!(goes("dABAACA", entries_over(2)), (vec![0], vec![3]));
        assert_eq!(goes("dABAACA", entries_over(3)), (vec![0], vec![3, 4]));
    }

    #[test]
    fn then_whatever_is_oldest_goes_and_dead_letters_before_what_waits() {
        assert_eq!(goes("ABxC", entries_over(2)), (vec![], vec![2, 0]));
        assert_eq!(goes("AAAx", entries_over(9)), (vec![], vec![1, 3, 0, 2]));
    }

    #[test]
    fn a_disk_that_others_have_filled_costs_no_report_that_is_the_only_one() {
        let excess = Excess {
            disk: 1000,
            ..Excess::default()
        };
        assert_eq!(goes("dABAACxA", excess), (vec![0], vec![3, 4]));
    }
}

//! Finds the value that an error is about in a parsed file, and cuts it out.

use std::borrow::Cow;
use std::mem::replace;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

type Span = Range<usize>;

/// The steps from the root to a value.
pub type TreePath = Vec<Step>;

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// Returns the path of the innermost value at `span`, or of the one whose key is there.
///
/// An array of tables and its first table are both at the same header; the inner one is meant.
pub fn find(table: &DeTable, span: &Span) -> Option<TreePath> {
    table.iter().find_map(|(key, value)| {
        let below = find_below(value, span).or_else(|| (key.span() == *span).then(Vec::new))?;
        Some([vec![Step::Key(key.get_ref().to_string())], below].concat())
    })
}

fn find_below(value: &Spanned<DeValue>, span: &Span) -> Option<TreePath> {
    let below = match value.get_ref() {
        DeValue::Table(table) => find(table, span),
        DeValue::Array(array) => array
            .iter()
            .enumerate()
            .find_map(|(i, value)| Some([vec![Step::Index(i)], find_below(value, span)?].concat())),
        _ => None,
    };
    below.or_else(|| (value.span() == *span).then(Vec::new))
}

/// Returns the place of a key's value in the table that stands at `span`.
pub fn value_at(root: &DeTable, span: &Span, key: &str) -> Option<Span> {
    let table = value(root, &find(root, span)?)?;
    Some(table.get_ref().as_table()?.get(key)?.span())
}

/// Returns the value at the path.
fn value<'t, 'i>(root: &'t DeTable<'i>, path: &[Step]) -> Option<&'t Spanned<DeValue<'i>>> {
    let (Step::Key(first), rest) = path.split_first()? else {
        return None;
    };
    let mut value = root.get(first.as_str())?;
    for step in rest {
        value = match (value.get_ref(), step) {
            (DeValue::Table(table), Step::Key(key)) => table.get(key.as_str())?,
            (DeValue::Array(array), Step::Index(i)) => array.get(*i)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Returns the tables of the list at `span`: each with its place, and in a root that holds nothing
/// else.
pub fn alone<'t, 'i>(
    root: &'t DeTable<'i>,
    span: &Span,
) -> impl Iterator<Item = (Span, DeTable<'i>)> + use<'t, 'i> {
    let mut path = find(root, span).unwrap_or_default();
    // A list of tables and its first table have the same place.
    path.pop_if(|last| matches!(last, Step::Index(_)));
    let list = value(root, &path).filter(|list| list.span() == *span);
    let elements = list.and_then(|list| list.get_ref().as_array());
    let tables = elements.into_iter().flat_map(|elements| elements.iter());
    let tables = tables.filter(|element| element.get_ref().is_table());
    tables.map(move |table| {
        let mut list = DeArray::new();
        list.push(table.clone());
        (table.span(), with(&path, DeValue::Array(list)))
    })
}

/// Returns the outermost value that begins before a position and extends beyond it.
pub fn around(table: &DeTable, at: usize) -> Option<Span> {
    let goes_on = |span: &Span| span.start < at && at <= span.end;
    table.values().find_map(|value| match value.get_ref() {
        _ if goes_on(&value.span()) => Some(value.span()),
        DeValue::Table(table) => around(table, at),
        DeValue::Array(array) => array
            .iter()
            .filter_map(|element| element.get_ref().as_table())
            .find_map(|table| around(table, at)),
        _ => None,
    })
}

/// Returns the lists of tables, with the place of their first header. Lists in lists are left out.
pub fn lists(table: &DeTable) -> Vec<(TreePath, Span)> {
    let mut found = Vec::new();
    for (key, value) in table {
        let key = Step::Key(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(table) => {
                found.extend(
                    lists(table)
                        .into_iter()
                        .map(|(path, span)| ([vec![key.clone()], path].concat(), span)),
                );
            }
            DeValue::Array(_) if holds_tables(value) => found.push((vec![key], value.span())),
            _ => {}
        }
    }
    found
}

/// Returns a root with nothing but this value at the path.
pub fn with<'i>(path: &[Step], value: DeValue<'i>) -> DeTable<'i> {
    let mut table = DeTable::new();
    if let [Step::Key(key), rest @ ..] = path {
        let value = match rest {
            [] => value,
            rest => DeValue::Table(with(rest, value)),
        };
        let key = Spanned::new(0..0, Cow::Owned(key.clone()));
        table.insert(key, Spanned::new(0..0, value));
    }
    table
}

/// Returns the table at the path, with its span.
pub fn table_at<'t, 'i>(
    root: &'t mut DeTable<'i>,
    path: &[Step],
) -> Option<(Span, &'t mut DeTable<'i>)> {
    let [Step::Key(first), rest @ ..] = path else {
        return path.is_empty().then_some((0..0, root));
    };
    let mut value = root.get_mut(first.as_str())?;
    for step in rest {
        value = match (value.get_mut(), step) {
            (DeValue::Table(table), Step::Key(key)) => table.get_mut(key.as_str())?,
            (DeValue::Array(array), Step::Index(i)) => array.get_mut(*i)?,
            _ => return None,
        };
    }
    let span = value.span();
    if let DeValue::Table(table) = value.get_mut() {
        Some((span, table))
    } else {
        None
    }
}

/// Removes the value at the path. Returns the span of the table that held it, and its key there; an
/// array's element has the array's key.
pub fn remove(root: &mut DeTable, path: &[Step]) -> Option<(Span, String)> {
    let last_key = path.iter().rposition(|step| matches!(step, Step::Key(_)))?;
    let (Step::Key(key), (span, table)) =
        (path.get(last_key)?, table_at(root, path.get(..last_key)?)?)
    else {
        return None;
    };
    match path.get(last_key + 1..)? {
        [] => drop(table.remove(key.as_str())?),
        indexes => {
            let mut value = table.get_mut(key.as_str())?;
            let (last, nested) = indexes.split_last()?;
            for step in nested {
                value = match (value.get_mut(), step) {
                    (DeValue::Array(array), Step::Index(i)) => array.get_mut(*i)?,
                    _ => return None,
                };
            }
            let DeValue::Array(array) = value.get_mut() else {
                return None;
            };
            let mut kept = DeArray::new();
            for (i, element) in replace(array, DeArray::new()).into_iter().enumerate() {
                if *last != Step::Index(i) {
                    kept.push(element);
                }
            }
            *array = kept;
        }
    }
    Some((span, key.clone()))
}

/// Adds a key that a table lacks, with an empty string, at the table's own place.
pub fn fill(root: &mut DeTable, path: &[Step], key: &str) -> bool {
    // A key that was filled in before has the table's place, too.
    let is_table = table_at(root, path).is_some();
    let above = path.len().saturating_sub(usize::from(!is_table));
    let Some((span, table)) = path.get(..above).and_then(|path| table_at(root, path)) else {
        return false;
    };
    let key = Spanned::new(span.clone(), Cow::Owned(key.to_owned()));
    table
        .insert(key, Spanned::new(span, DeValue::String(Cow::Borrowed(""))))
        .is_none()
}

/// Returns the path of what to leave out because of a wrong key, so that nothing half-configured
/// stays: the element of a list that the key is in, or else its table. A table that holds others
/// stays, and the key alone goes.
pub fn whole<'p>(root: &mut DeTable, path: &'p [Step]) -> &'p [Step] {
    // A sink goes as a whole even if it has tables such as `headers = {}`.
    let element = path
        .windows(3)
        .position(|steps| matches!(steps, [Step::Key(_), Step::Index(_), Step::Key(_)]));
    if let Some(at) = element {
        return path.get(..at + 2).unwrap_or(path);
    }
    let is_table = table_at(root, path).is_some();
    let key = path
        .iter()
        .rposition(|step| matches!(step, Step::Key(_)))
        .unwrap_or_default();
    let (parent, own) = (
        path.get(..key).unwrap_or_default(),
        path.get(..=key).unwrap_or_default(),
    );
    match table_at(root, parent) {
        _ if is_table => path,
        Some((_, table)) if !parent.is_empty() && !table.values().any(holds_tables) => parent,
        _ => own,
    }
}

fn holds_tables(value: &Spanned<DeValue>) -> bool {
    match value.get_ref() {
        DeValue::Table(_) => true,
        DeValue::Array(array) => array
            .first()
            .is_some_and(|first| first.get_ref().is_table()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
sinks = ['a', ['b', 'c']]
[default]
runbook = 'x'
[default.collect.memory]
[[sink.slack]]
name = 'one'
[[sink.slack]]
name = 'two'
";

    fn parsed() -> DeTable<'static> {
        DeTable::parse(TEXT).unwrap().into_inner()
    }

    fn find_text(text: &str) -> String {
        let start = TEXT.rfind(text).unwrap();
        show(&find(&parsed(), &(start..start + text.len())).unwrap())
    }

    fn show(path: &[Step]) -> String {
        let steps = path.iter().map(|step| match step {
            Step::Key(key) => key.clone(),
            Step::Index(i) => i.to_string(),
        });
        steps.collect::<Vec<_>>().join(".")
    }

    #[test]
    fn a_value_is_found_by_its_own_place_or_its_keys() {
        assert_eq!(find_text("sinks"), "sinks");
        assert_eq!(find_text("'c'"), "sinks.1.1");
        assert_eq!(find_text("runbook"), "default.runbook");
        assert_eq!(
            find_text("[default.collect.memory]"),
            "default.collect.memory"
        );
        assert_eq!(find_text("name"), "sink.slack.1.name");
        assert_eq!(find_text("[[sink.slack]]"), "sink.slack.1");
        assert_eq!(find(&parsed(), &(3..4)), None);
    }

    #[test]
    fn what_is_left_out_is_a_whole_table_but_never_its_neighbours() {
        for (text, left_out) in [
            ("'two'", "sink.slack.1"),
            ("[[sink.slack]]", "sink.slack.1"),
            ("runbook", "default.runbook"),
            ("[default.collect.memory]", "default.collect.memory"),
            ("'a'", "sinks"),
        ] {
            let start = TEXT.rfind(text).unwrap();
            let mut root = parsed();
            let path = find(&root, &(start..start + text.len())).unwrap();
            assert_eq!(show(whole(&mut root, &path)), left_out, "{text}");
        }
    }

    #[test]
    fn removing_an_element_keeps_the_others() {
        let mut root = parsed();
        let path = [
            Step::Key("sink".into()),
            Step::Key("slack".into()),
            Step::Index(0),
        ];
        let (_, key) = remove(&mut root, &path).unwrap();
        assert_eq!(key, "slack");
        assert_eq!(
            root["sink"].get_ref()["slack"].get_ref()[0].get_ref()["name"]
                .get_ref()
                .as_str(),
            Some("two")
        );
        assert!(remove(&mut root, &path).is_some());
        assert_eq!(
            root["sink"].get_ref()["slack"]
                .get_ref()
                .as_array()
                .unwrap()
                .len(),
            0
        );
    }
}

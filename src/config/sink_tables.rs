//! The tables of a file's sinks and collectors, as they stand in the parsed text.

use toml::Spanned;
use toml::de::DeTable;

/// Returns the tables `[[sink.KIND]]`, each with its kind.
pub fn sink_tables<'t, 's>(
    table: &'t DeTable<'s>,
) -> impl Iterator<Item = (&'t str, &'t DeTable<'s>)> {
    tables(table, "sink")
}

/// Returns the tables `[collect.KIND]` and `[[collect.KIND]]`, each with its kind.
pub fn collector_tables<'t, 's>(
    table: &'t DeTable<'s>,
) -> impl Iterator<Item = (&'t str, &'t DeTable<'s>)> {
    tables(table, "collect")
}

fn tables<'t, 's>(
    table: &'t DeTable<'s>,
    of: &str,
) -> impl Iterator<Item = (&'t str, &'t DeTable<'s>)> {
    let kinds = table.get(of).and_then(|it| it.get_ref().as_table());
    kinds.into_iter().flat_map(|kinds| {
        kinds.iter().flat_map(|(kind, value)| {
            let list = value.get_ref().as_array().map(|list| list.iter());
            let one = value.get_ref().as_table();
            let several = list
                .into_iter()
                .flatten()
                .filter_map(|it: &Spanned<_>| it.get_ref().as_table());
            one.into_iter()
                .chain(several)
                .map(|table| (kind.get_ref().as_ref(), table))
        })
    })
}

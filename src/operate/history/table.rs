//! Lays out a table. Columns are aligned by the width on a terminal, not by bytes, and the table is
//! never wider than the terminal. Pure.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar;

use crate::render::head_by;

/// Gap between two columns.
const GAP: &str = "  ";

/// A column.
#[derive(Clone, Copy)]
pub struct Column {
    pub title: &'static str,
    /// True for numbers, which stand at the right.
    pub right: bool,
    /// How readily it becomes narrower if the terminal is too narrow: of the columns with a weight,
    /// the widest for its weight goes first. 0 is never.
    pub weight: usize,
}

impl Column {
    pub const fn new(title: &'static str) -> Self {
        Self {
            title,
            right: false,
            weight: 0,
        }
    }

    pub const fn right(self) -> Self {
        Self {
            right: true,
            ..self
        }
    }

    pub const fn gives_way(self, weight: usize) -> Self {
        Self { weight, ..self }
    }
}

/// Content of one column of one row: one line, clean.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub text: String,
    pub style: Style,
}

impl Cell {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            style: Style::new(),
        }
    }

    pub fn dim(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            style: Style::new().dimmed(),
        }
    }

    pub fn coloured(text: impl Into<String>, colour: AnsiColor) -> Self {
        Self {
            text: text.into(),
            style: colour.on_default(),
        }
    }
}

/// Returns how many columns of a terminal a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(of_char).sum()
}

fn of_char(c: char) -> usize {
    c.width().unwrap_or_default()
}

/// Returns the table, a title line first, within so many columns of a terminal; `None` is
/// unlimited. The output's stream removes the colours if they are not wanted.
pub fn table<const N: usize>(
    columns: &[Column; N],
    rows: &[[Cell; N]],
    terminal: Option<usize>,
) -> String {
    let mut widths = columns.map(|column| width(column.title));
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(&cell.text));
        }
    }
    if let Some(terminal) = terminal {
        narrow(
            columns,
            &mut widths,
            terminal.saturating_sub(GAP.len() * N.saturating_sub(1)),
        );
    }
    let title = columns.map(|column| Cell {
        text: column.title.to_owned(),
        style: Style::new().bold(),
    });
    let mut text = String::new();
    for row in std::iter::once(&title).chain(rows) {
        line(&mut text, columns, &widths, row);
    }
    text
}

/// Makes columns narrower until they fit, but none narrower than its title.
fn narrow<const N: usize>(columns: &[Column; N], widths: &mut [usize; N], most: usize) {
    while widths.iter().sum::<usize>() > most {
        let may = widths
            .iter_mut()
            .zip(columns)
            .filter(|(now, column)| column.weight > 0 && **now > width(column.title));
        let widest = may.max_by_key(|(now, column)| **now * 100 / column.weight);
        let Some((now, _)) = widest else { break };
        *now -= 1;
    }
}

fn line<const N: usize>(
    text: &mut String,
    columns: &[Column; N],
    widths: &[usize; N],
    row: &[Cell; N],
) {
    let mut line = String::new();
    for ((column, most), cell) in columns.iter().zip(widths).zip(row) {
        let shown = head_by(&cell.text, *most, of_char);
        let space = " ".repeat(most.saturating_sub(width(&shown)));
        let style = cell.style;
        let _ = if column.right {
            write!(line, "{space}{style}{shown}{style:#}{GAP}")
        } else {
            write!(line, "{style}{shown}{style:#}{space}{GAP}")
        };
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::new("JOB").gives_way(1),
        Column::new("N").right(),
        Column::new("WHY").gives_way(3),
    ];

    /// Returns the table without colours.
    fn plain(rows: &[[Cell; 3]], terminal: Option<usize>) -> String {
        anstream::adapter::strip_str(&table(&COLUMNS, rows, terminal)).to_string()
    }

    fn rows(rows: &[[&str; 3]]) -> Vec<[Cell; 3]> {
        rows.iter().map(|row| row.map(Cell::new)).collect()
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_numbers_stand_at_the_right() {
        assert_eq!(
            plain(
                &rows(&[["web", "12", "exit code 1"], ["a/b", "1", ""]]),
                None
            ),
            "\
JOB   N  WHY
web  12  exit code 1
a/b   1
"
        );
    }

    #[test]
    fn wide_characters_take_two_columns_and_combining_ones_none() {
        assert_eq!(
            plain(
                &rows(&[["データ", "1", "故障"], ["cafe\u{301}", "2", "🦀"]]),
                Some(14)
            ),
            "\
JOB    N  WHY
デー…  1  故障
cafe\u{301}   2  🦀
"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_the_cut_shows() {
        let long = "界".repeat(300);
        let rows = rows(&[[&long, "100000", &long], ["web", "1", "x"]]);
        for terminal in [20, 40, 79, 80, 200] {
            let text = plain(&rows, Some(terminal));
            let widest = text.lines().map(width).max();
            assert!(
                widest.is_some_and(|widest| widest <= terminal && widest + 4 > terminal),
                "{terminal}: {text}"
            );
            assert!(text.contains('…'), "{text}");
        }
        // Even then it is readable.
        assert!(plain(&rows, Some(1)).starts_with("JOB       N  WHY\n"));
    }

    #[test]
    fn a_style_takes_no_room() {
        let row = [[
            Cell::coloured("web", AnsiColor::Red),
            Cell::dim("1"),
            Cell::new("x"),
        ]];
        assert_eq!(plain(&row, None), "JOB  N  WHY\nweb  1  x\n");
    }
}

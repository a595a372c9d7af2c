//! What a program itself said before it ended: no runtime's words, so that they count only as the last.

use super::finding::Finding;
use super::text::Line;
use crate::report::Exit;

/// The program's own last words, if they say why it ends.
pub fn read(_lines: &[Line], _exit: &Exit) -> Option<Finding> {
    None
}

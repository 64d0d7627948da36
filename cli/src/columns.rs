//! Tables for people.

use std::fmt::Write as _;

/// Columns as wide as their widest text; the last one ends where it ends.
pub fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut written = String::new();
        for (width, cell) in widths.iter().zip(line) {
            let _ = write!(written, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", written.trim_end());
    }
    text
}

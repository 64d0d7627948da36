//! What a test has to show even when it passes.

use std::io::Write as _;

/// Prints past the test harness, which keeps what passing tests print.
pub fn show(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // Nobody to tell that there is nobody to tell.
    let _ = writeln!(stdout, "    {}", text.trim_end().replace('\n', "\n    "));
}

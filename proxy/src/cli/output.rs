//! Standard output, which a supervisor or a pipe may have closed: `println!` would panic there.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Says a line that nothing depends on. Where nobody reads, nobody misses it.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Says a line that must be read.
///
/// # Errors
/// Nobody can read it.
pub(super) fn show(line: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

//! The limit of open files, which is the limit of connections.

use std::num::NonZeroUsize;

use lockgate_settings::raise_open_files;

/// Descriptors that are no client's: the log, the files that are watched, unused connections to the
/// upstream.
const RESERVED: u64 = 256;

/// A client's connection, and the one to the upstream that its request needs.
const EACH: u64 = 2;

/// Raises the limit to the hard one, and tells how many connections may be open: `wanted`, or what fits.
pub(super) fn room_for_connections(wanted: Option<NonZeroUsize>) -> usize {
    let fit = fitting(raise_open_files());
    let Some(wanted) = wanted.map(NonZeroUsize::get) else { return fit };
    if wanted > fit {
        tracing::warn!(
            wanted,
            fit,
            "limits.connections is more than the limit of open files has room for; raise it (ulimit -Hn, LimitNOFILE=, docker's --ulimit nofile)"
        );
    }
    wanted
}

/// At least one, however small the limit is: accepting fails then, and says why.
fn fitting(open_files: u64) -> usize {
    usize::try_from(open_files.saturating_sub(RESERVED).max(open_files / 2) / EACH).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_two_descriptors_and_the_program_some_of_its_own() {
        assert_eq!(fitting(20_000), 9_872);
        assert_eq!(fitting(1_048_576), 524_160);
        assert_eq!(fitting(64), 16, "half of a small limit");
        assert_eq!(fitting(0), 1);
    }
}

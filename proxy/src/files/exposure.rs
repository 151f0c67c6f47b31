//! Files with keys or hashes that more people may read than have to.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Whom a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Its owner alone, as a private key.
    Owner,
    /// Its group too, as a users' file that several servers share.
    Group,
}

/// A file that is open to others than its [`Audience`]. A reason to warn and never to refuse: what a
/// container is given as a secret is often readable by everyone in it. Its text says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    file: PathBuf,
    /// The permission bits.
    mode: u32,
    audience: Audience,
    /// The user this process runs as, where that is not the file's owner.
    reader: Option<u32>,
}

impl Exposure {
    /// Looks at a file's mode. Nothing is said of one that cannot be looked at: whoever reads it says so.
    pub(crate) fn of(file: &Path, audience: Audience) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        let us = fs::metadata("/proc/self").ok()?.uid();
        let reader = (metadata.uid() != us).then_some(us);
        let mode = metadata.mode() & 0o777;
        // Somebody else's file is read through its group, which then has to be able to.
        let forbidden = if audience == Audience::Owner && reader.is_none() { 0o077 } else { 0o007 };
        (mode & forbidden != 0).then(|| Self { file: file.to_owned(), mode, audience, reader })
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let close = match self.audience {
            Audience::Owner => "chmod go=",
            Audience::Group => "chmod o=",
        };
        write!(f, "is open to others on this machine (mode {:04o}): close it to them with `", self.mode)?;
        match self.reader {
            None => write!(f, "{close} {file}`"),
            Some(us) => write!(f, "chown {us} {file} && {close} {file}`, or mount it for user {us} alone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn said(mode: u32, audience: Audience) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let exposure = Exposure::of(&file, audience)?;
        Some(exposure.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn a_key_is_its_owner_s_alone() {
        for closed in [0o600, 0o400, 0o700] {
            assert_eq!(said(closed, Audience::Owner), None, "{closed:o}");
        }
        for open in [0o640, 0o604, 0o660, 0o644, 0o601] {
            let said = said(open, Audience::Owner).unwrap_or_else(|| panic!("{open:o}"));
            assert!(said.contains(&format!("(mode {open:04o})")) && said.contains("`chmod go= secret`"), "{said}");
        }
    }

    #[test]
    fn hashes_may_be_the_group_s_too() {
        for closed in [0o600, 0o640, 0o660] {
            assert_eq!(said(closed, Audience::Group), None, "{closed:o}");
        }
        assert!(said(0o644, Audience::Group).is_some_and(|said| said.contains("`chmod o= secret`")));
    }

    #[test]
    fn a_file_that_is_not_there_is_not_open() {
        assert_eq!(Exposure::of(Path::new("no/such/key"), Audience::Owner), None);
    }

    /// Only where the tests run as root can a file be given away.
    #[test]
    fn of_somebody_else_s_key_the_group_may_read_it_and_the_cure_gives_it_to_us() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "").unwrap();
        if std::os::unix::fs::chown(&file, Some(12_345), None).is_err() {
            return;
        }
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(Exposure::of(&file, Audience::Owner), None);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let said = Exposure::of(&file, Audience::Owner).expect("everyone may read it").to_string();
        assert!(said.contains(&format!("chown 0 {0} && chmod go= {0}", file.display())), "{said}");
    }
}

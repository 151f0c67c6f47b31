//! Text with wildcards, within one segment of a name or within a tag.

/// The variable that stands for the caller's name.
pub(super) const USER: &str = "${user}";

/// The pieces between the `*` of a text. It is matched without going back: each piece is taken where it is found first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Glob(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Piece(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Text(Box<str>),
    User,
}

impl Glob {
    /// Reads a text in which each `*` and each `${user}` is one.
    pub(super) fn new(text: &str) -> Self {
        Self(text.split('*').map(Piece::new).collect())
    }

    /// The text, where there is nothing else in it.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece(parts)] => match parts.as_slice() {
                [Part::Text(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn matches(&self, text: &str, user: &str) -> bool {
        let (first, rest) = self.0.split_first().expect("splitting a text gives one piece at least");
        let Some(mut text) = first.strip_start(text, user) else { return false };
        let Some((last, middle)) = rest.split_last() else { return text.is_empty() };
        for piece in middle {
            match piece.strip_to_end_of_first(text, user) {
                Some(rest) => text = rest,
                None => return false,
            }
        }
        last.is_end_of(text, user)
    }
}

impl Piece {
    fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        for (index, between) in text.split(USER).enumerate() {
            if index > 0 {
                parts.push(Part::User);
            }
            if !between.is_empty() {
                parts.push(Part::Text(between.into()));
            }
        }
        Self(parts)
    }

    fn strip_start<'t>(&self, text: &'t str, user: &str) -> Option<&'t str> {
        self.0.iter().try_fold(text, |text, part| text.strip_prefix(part.text(user)))
    }

    fn is_end_of(&self, text: &str, user: &str) -> bool {
        self.0.iter().rev().try_fold(text, |text, part| text.strip_suffix(part.text(user))).is_some()
    }

    /// What stands behind the first place where it is found.
    fn strip_to_end_of_first<'t>(&self, text: &'t str, user: &str) -> Option<&'t str> {
        (0..=text.len()).find_map(|start| self.strip_start(text.get(start..)?, user))
    }
}

impl Part {
    fn text<'a>(&'a self, user: &'a str) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::User => user,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_number_of_characters() {
        for (glob, yes, no) in [
            ("a", &["a"][..], &["", "b", "aa"][..]),
            ("*", &["", "a", "abc"], &[]),
            ("dev-*", &["dev-", "dev-1", "dev-dev-"], &["dev", "adev-1"]),
            ("*-dev", &["-dev", "a-dev", "-dev-dev"], &["dev", "a-dev-"]),
            ("a*a", &["aa", "aba", "aaa"], &["a", "ab", "ba"]),
            ("a*b*c", &["abc", "axbxc", "abbcc", "abcbc"], &["ac", "acb", "ab"]),
            ("*a*a*", &["aa", "xaxax"], &["a", "xax"]),
            ("a**b", &["ab", "axb"], &["a", "b"]),
        ] {
            let glob = Glob::new(glob);
            assert!(yes.iter().all(|text| glob.matches(text, "")), "{glob:?}");
            assert!(!no.iter().any(|text| glob.matches(text, "")), "{glob:?}");
        }
    }

    #[test]
    fn the_caller_s_name_is_text() {
        assert!(Glob::new("${user}").matches("alice", "alice"));
        assert!(!Glob::new("${user}").matches("alicex", "alice"));
        assert!(!Glob::new("${user}").matches("alice", "*"));
        assert!(Glob::new("x-${user}-*").matches("x-alice-1", "alice"));
        assert!(Glob::new("*${user}${user}*").matches("-abab-", "ab"));
        assert_eq!(Glob::new("a").literal(), Some("a"));
        assert!(["*", "a*", "${user}", "a${user}"].iter().all(|glob| Glob::new(glob).literal().is_none()));
    }
}

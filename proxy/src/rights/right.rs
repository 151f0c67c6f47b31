//! What may be done with a repository.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

use lockgate_settings::{listed, nearest};

/// One step that a request can need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Read manifests, blobs and lists.
    Pull,
    /// Write what is not there yet: blobs, manifests by digest, new tags.
    Create,
    /// Write, and move tags that are there.
    Push,
    /// Remove.
    Delete,
}

/// Several of them. Who has one has the lesser ones, too: push holds create, create holds pull, delete holds pull.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rights(u8);

/// Why a word names no right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RightError {
    /// It is nearly one, or means one elsewhere.
    #[error("{0:?} is no action; did you mean {1:?}?")]
    Nearly(String, &'static str),
    /// It is nothing like one.
    #[error("{0:?} is no action; there are {known}", known = listed(WORDS.iter().map(|word| format!("{word:?}"))))]
    Unknown(String),
    /// It stands for several, where one is asked for.
    #[error("\"all\" is more than one action: name \"pull\", \"create\", \"push\" or \"delete\"")]
    Several,
}

/// The rights, the lesser ones first, and the word for all.
const WORDS: [&str; 5] = ["pull", "create", "push", "delete", "all"];
/// What other programs call them.
const ELSEWHERE: [(&str, &str); 6] =
    [("read", "pull"), ("write", "push"), ("admin", "all"), ("*", "all"), ("any", "all"), ("remove", "delete")];

impl Right {
    /// Each of them, the lesser ones first.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Create, Self::Push, Self::Delete];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORDS[*self as usize])
    }
}

/// One word.
impl FromStr for Right {
    type Err = RightError;

    fn from_str(word: &str) -> Result<Self, RightError> {
        let right = Self::ALL.into_iter().find(|right| right.to_string() == word);
        right.ok_or_else(|| word.parse::<Rights>().err().unwrap_or(RightError::Several))
    }
}

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Every right.
    pub const ALL: Self = Self(Right::Pull.bit() | Right::Create.bit() | Right::Push.bit() | Right::Delete.bit());

    /// Whether this one is among them.
    pub fn holds(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Each of them, the lesser ones first.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.holds(*right))
    }
}

impl From<Right> for Rights {
    fn from(right: Right) -> Self {
        let lesser = match right {
            Right::Pull => Self::NONE,
            Right::Create | Right::Delete => Right::Pull.into(),
            Right::Push => Right::Create.into(),
        };
        Self(lesser.0 | right.bit())
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}

impl FromIterator<Self> for Rights {
    fn from_iter<I: IntoIterator<Item = Self>>(rights: I) -> Self {
        rights.into_iter().fold(Self::NONE, Self::bitor)
    }
}

/// One word: a right with the lesser ones, or `all`.
impl FromStr for Rights {
    type Err = RightError;

    fn from_str(word: &str) -> Result<Self, RightError> {
        let written = WORDS.iter().position(|known| *known == word);
        if let Some(written) = written {
            return Ok(Right::ALL.get(written).map_or(Self::ALL, |right| (*right).into()));
        }
        let lower = word.to_lowercase();
        let elsewhere = ELSEWHERE.iter().find(|(other, _)| *other == lower).map(|(_, ours)| *ours);
        Err(match elsewhere.or_else(|| nearest(word, &WORDS)) {
            Some(near) => RightError::Nearly(word.to_owned(), near),
            None => RightError::Unknown(word.to_owned()),
        })
    }
}

/// Each of them, as in `pull, create, push`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, right) in self.iter().enumerate() {
            write!(f, "{}{right}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_right_has_the_lesser_ones() {
        for (word, held) in [
            ("pull", "pull"),
            ("create", "pull, create"),
            ("push", "pull, create, push"),
            ("delete", "pull, delete"),
            ("all", "pull, create, push, delete"),
        ] {
            assert_eq!(word.parse::<Rights>().unwrap().to_string(), held);
        }
        let both: Rights = ["create", "delete"].map(|word| word.parse::<Rights>().unwrap()).into_iter().collect();
        assert_eq!(both.to_string(), "pull, create, delete");
        assert!(Right::ALL.iter().all(|right| Rights::ALL.holds(*right) && !Rights::NONE.holds(*right)));
    }

    #[test]
    fn a_word_that_is_none_is_told_with_the_one_that_was_meant() {
        let told = |word: &str| word.parse::<Rights>().unwrap_err().to_string();
        assert_eq!(told("pul"), r#""pul" is no action; did you mean "pull"?"#);
        assert_eq!(told("Push"), r#""Push" is no action; did you mean "push"?"#);
        assert_eq!(told("write"), r#""write" is no action; did you mean "push"?"#);
        assert_eq!(told("*"), r#""*" is no action; did you mean "all"?"#);
        assert_eq!("push".parse(), Ok(Right::Push));
        assert_eq!("all".parse::<Right>(), Err(RightError::Several));
        assert_eq!("pul".parse::<Right>(), Err(RightError::Nearly("pul".to_owned(), "pull")));
        assert_eq!(told("x"), r#""x" is no action; there are "pull", "create", "push", "delete" and "all""#);
    }
}

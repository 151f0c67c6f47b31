//! Changes to the content of an htpasswd file that leave everything else in it as it was.

use super::UserName;
use super::htpasswd::{Entry, split_byte_order_mark};

/// Stands in a file whose last user was removed. A file without a line would be taken for half-written,
/// and the removed user kept; see [`super::Defect::Empty`].
const NOBODY: &str = "# nobody: every login is refused";

/// The file with `hash` in the user's line, or with a new line at its end. Later lines of the same user go.
pub(crate) fn replace_user(file: &[u8], user: &UserName, hash: &str) -> Vec<u8> {
    let (mark, body) = split_byte_order_mark(file);
    let ending = ending(body);
    let mut edited = mark.to_vec();
    let mut replaced = false;
    for line in lines(body).filter(|line| line.trim_ascii() != NOBODY.as_bytes()) {
        match entry_of(line, user) {
            None => edited.extend_from_slice(line),
            Some(_) if replaced => {}
            Some(entry) => {
                let rest = entry.rest.map(|rest| format!(":{rest}")).unwrap_or_default();
                edited.extend_from_slice(format!("{user}:{hash}{rest}{ending}").as_bytes());
                replaced = true;
            }
        }
    }
    if !replaced {
        if edited.len() > mark.len() && !edited.ends_with(b"\n") {
            edited.extend_from_slice(ending.as_bytes());
        }
        edited.extend_from_slice(format!("{user}:{hash}{ending}").as_bytes());
    }
    edited
}

/// The file without any line of the user, or `None` where there is none.
pub(crate) fn remove_user(file: &[u8], user: &UserName) -> Option<Vec<u8>> {
    let (mark, body) = split_byte_order_mark(file);
    let kept: Vec<_> = lines(body).filter(|line| entry_of(line, user).is_none()).collect();
    let kept_body = kept.concat();
    if kept_body.len() == body.len() {
        return None;
    }
    let mut edited = [mark, &kept_body].concat();
    if kept_body.trim_ascii().is_empty() {
        edited.extend_from_slice(format!("{NOBODY}{}", ending(body)).as_bytes());
    }
    Some(edited)
}

/// Each line with its end.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split_inclusive(|b| *b == b'\n')
}

fn entry_of<'a>(line: &'a [u8], user: &UserName) -> Option<Entry<'a>> {
    Entry::parse(line).ok().flatten().filter(|entry| entry.user == *user)
}

/// How the file ends its lines.
fn ending(body: &[u8]) -> &'static str {
    if lines(body).next().is_some_and(|line| line.ends_with(b"\r\n")) { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Policy, Users};
    use proptest::prelude::*;

    const SHA: &str = "{SHA}NstYn3QVe0WBGmkMWLQ0CV9I6fo=";

    fn user(name: &str) -> UserName {
        name.parse().unwrap()
    }

    fn replaced(file: &str, name: &str) -> String {
        String::from_utf8(replace_user(file.as_bytes(), &user(name), "NEW")).unwrap()
    }

    fn removed(file: &str, name: &str) -> Option<String> {
        remove_user(file.as_bytes(), &user(name)).map(|file| String::from_utf8(file).unwrap())
    }

    #[test]
    fn a_password_is_replaced_in_its_line_and_later_duplicates_go() {
        let file = "# team\nalice:x\n\nbob:y:Bob\n#bob:z\nbob:z\ncarol:w";
        assert_eq!(replaced(file, "bob"), "# team\nalice:x\n\nbob:NEW:Bob\n#bob:z\ncarol:w");
    }

    #[test]
    fn a_new_user_is_added_at_the_end_with_the_line_ends_of_the_file() {
        assert_eq!(replaced("", "bob"), "bob:NEW\n");
        assert_eq!(replaced("alice:x", "bob"), "alice:x\nbob:NEW\n");
        assert_eq!(replaced("\u{feff}alice:x\r\n# end\r\n", "bob"), "\u{feff}alice:x\r\n# end\r\nbob:NEW\r\n");
        assert_eq!(replaced("\u{feff}bob:x\r\n", "bob"), "\u{feff}bob:NEW\r\n");
    }

    #[test]
    fn lines_that_are_no_entries_are_left_alone() {
        let file = b"no colon\nalice:\xff\nbob:x\n";
        assert_eq!(replace_user(file, &user("bob"), "NEW"), b"no colon\nalice:\xff\nbob:NEW\n");
    }

    #[test]
    fn every_line_of_a_removed_user_goes() {
        assert_eq!(removed("# team\nbob:x\nalice:y\nbob:z\n", "bob").unwrap(), "# team\nalice:y\n");
        assert_eq!(removed("# bob:x\nalice:y\n", "bob"), None);
    }

    #[test]
    fn removing_the_last_user_leaves_a_file_that_refuses_everyone() {
        let file = removed(&format!("bob:{SHA}\r\n"), "bob").unwrap();
        assert_eq!(file, format!("{NOBODY}\r\n"));
        assert!(Users::parse(file.as_bytes(), &Policy::default()).unwrap().into_hashes().is_empty());
        assert_eq!(replaced(&file, "alice"), "alice:NEW\r\n");
    }

    proptest! {
        #[test]
        fn whatever_the_file_a_replaced_user_is_in_it_once_and_a_removed_one_is_not(
            file in "(alice:[a-z]{0,3}|bob:x(:y)?|#[a-z]{0,3}| |[a-z]{1,3})?(\r?\n(alice:[a-z]{0,3}|bob:x| bob:y|#|[a-z]{1,3})?){0,6}",
        ) {
            let bob = user("bob");
            let edited = replace_user(file.as_bytes(), &bob, SHA);
            let of_bob = |file: &[u8]| lines(file).filter(|line| entry_of(line, &bob).is_some()).count();
            let of_alice = |file: &[u8]| lines(file).filter(|line| entry_of(line, &user("alice")).is_some()).count();
            prop_assert_eq!(of_bob(&edited), 1);
            prop_assert_eq!(of_alice(&edited), of_alice(file.as_bytes()));
            prop_assert_eq!(of_bob(&remove_user(&edited, &bob).unwrap()), 0);
        }
    }
}

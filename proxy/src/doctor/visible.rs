//! What strangers say, made fit for a terminal.

use super::limits::SHOWN;

/// Text with everything escaped that is not visible ASCII or a space, cut after [`SHOWN`] characters: no answer moves the
/// cursor, changes the colour, or turns the direction of writing.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.trim().chars().enumerate() {
        if count == SHOWN {
            shown.push_str("...");
            break;
        }
        match character {
            ' '..='~' => shown.push(character),
            '\n' | '\r' | '\t' => shown.push(' '),
            _ => shown.extend(character.escape_default()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_moves_a_cursor_or_turns_the_writing_is_escaped() {
        assert_eq!(visible("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(visible("\u{202e}gpj.exe\u{200b}"), "\\u{202e}gpj.exe\\u{200b}");
        assert_eq!(visible("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(visible("two\r\nlines\t"), "two  lines");
        assert_eq!(visible(&"x".repeat(SHOWN + 1)), "x".repeat(SHOWN) + "...");
    }

    proptest! {
        #[test]
        fn of_any_text_only_visible_ascii_is_left_and_not_much(text in any::<String>()) {
            let shown = visible(&text);
            prop_assert!(shown.chars().all(|character| matches!(character, ' '..='~')), "{shown:?}");
            // Ten characters are `\u{10ffff}`.
            prop_assert!(shown.len() <= SHOWN * 10 + 3);
        }
    }
}

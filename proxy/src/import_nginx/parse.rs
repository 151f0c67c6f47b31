//! The grammar of nginx configurations: words, quotes, comments and blocks, as `ngx_conf_read_token` takes them.

use std::path::Path;
use std::sync::Arc;

use lockgate_settings::Problem;

use super::directive::{Directive, Place};

/// How deep blocks may stand in each other, includes counted. nginx itself needs five or six.
pub(super) const MAX_DEPTH: usize = 32;

/// The most directives of one file.
const MAX_DIRECTIVES: usize = 100_000;

enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
}

struct Tokens<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    file: Arc<Path>,
    line: usize,
    column: usize,
    directives: usize,
}

/// Reads one file's text; `include` is a directive like others.
///
/// # Errors
/// The first place where it is no configuration, or holds Lua.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Vec<Directive>, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut tokens = Tokens { rest: text.chars().peekable(), file: file.into(), line: 1, column: 1, directives: 0 };
    block(&mut tokens, None, 0)
}

/// Directives up to the end of the block that `opened` began, or of the file.
fn block(tokens: &mut Tokens<'_>, opened: Option<&Place>, depth: usize) -> Result<Vec<Directive>, Problem> {
    let mut directives = Vec::new();
    let mut words = Vec::new();
    let mut start = tokens.place();
    loop {
        let Some((token, place)) = tokens.next()? else {
            return match (words.is_empty(), opened) {
                (false, _) => Err(start.problem("the file ends before this directive does: a ; is missing")),
                (true, Some(opened)) => Err(opened.problem("this block is not closed: a } is missing")),
                (true, None) => Ok(directives),
            };
        };
        match token {
            Token::Word(word) => {
                if words.is_empty() {
                    start = place;
                }
                words.push(word);
            }
            Token::Close if !words.is_empty() => return Err(start.problem("a ; is missing behind this directive")),
            Token::Close if opened.is_some() => return Ok(directives),
            Token::Close => return Err(place.problem("there is a } too many")),
            Token::Semicolon | Token::Open if words.is_empty() => {
                return Err(place.problem("a directive has to begin with its name"));
            }
            Token::Semicolon | Token::Open if tokens.directives == MAX_DIRECTIVES => {
                return Err(start.problem(format!("there are more than {MAX_DIRECTIVES} directives in this file")));
            }
            Token::Semicolon => directives.push(directive(tokens, &mut words, &start, None)),
            Token::Open => {
                if words[0].ends_with("_by_lua_block") {
                    return Err(start.problem(format!(
                        "{} holds a program in Lua, which cannot be read here: take it out of a copy of this file, import \
                         that, and see to what the program does by yourself",
                        words[0]
                    )));
                }
                if depth == MAX_DEPTH {
                    return Err(start.problem(format!("blocks stand in each other more than {MAX_DEPTH} deep")));
                }
                let inner = block(tokens, Some(&start), depth + 1)?;
                directives.push(directive(tokens, &mut words, &start, Some(inner)));
            }
        }
    }
}

fn directive(
    tokens: &mut Tokens<'_>,
    words: &mut Vec<String>,
    place: &Place,
    block: Option<Vec<Directive>>,
) -> Directive {
    tokens.directives += 1;
    let mut words = std::mem::take(words).into_iter();
    let name = words.next().unwrap_or_default();
    Directive { name, args: words.collect(), place: place.clone(), block }
}

impl Tokens<'_> {
    fn place(&self) -> Place {
        Place { file: Arc::clone(&self.file), line: self.line, column: self.column }
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        Some(c)
    }

    /// The next token and where it begins.
    fn next(&mut self) -> Result<Option<(Token, Place)>, Problem> {
        loop {
            let place = self.place();
            let token = match self.rest.peek() {
                None => return Ok(None),
                Some(' ' | '\t' | '\r' | '\n') => {
                    self.bump();
                    continue;
                }
                Some('#') => {
                    while self.bump().is_some_and(|c| c != '\n') {}
                    continue;
                }
                Some(';') => Token::Semicolon,
                Some('{') => Token::Open,
                Some('}') => Token::Close,
                Some(&quote @ ('"' | '\'')) => {
                    self.bump();
                    return Ok(Some((Token::Word(self.quoted(quote, &place)?), place)));
                }
                Some(_) => return Ok(Some((Token::Word(self.bare()), place))),
            };
            self.bump();
            return Ok(Some((token, place)));
        }
    }

    /// A word in quotes, whose first one is read.
    fn quoted(&mut self, quote: char, place: &Place) -> Result<String, Problem> {
        let mut word = String::new();
        loop {
            match self.bump() {
                None => return Err(place.problem(format!("this {quote} is not closed"))),
                Some('\\') => self.escape(&mut word),
                Some(c) if c == quote => break,
                Some(c) => word.push(c),
            }
        }
        match self.rest.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | ';' | '{' | ')') => Ok(word),
            Some(_) => Err(self.place().problem("a space or ; has to follow the closing quote")),
        }
    }

    /// A word without quotes. A brace after a dollar belongs to a variable's name.
    fn bare(&mut self) -> String {
        let mut word = String::new();
        while let Some(&c) = self.rest.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' => break,
                '{' if !word.ends_with('$') => break,
                _ => {}
            }
            self.bump();
            if c == '\\' { self.escape(&mut word) } else { word.push(c) }
        }
        word
    }

    /// What a backslash makes of the character behind it: it stays where it has no meaning here, as in a pattern.
    fn escape(&mut self, word: &mut String) {
        match self.bump() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(c) => word.extend(['\\', c]),
            None => word.push('\\'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::directive::written;
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        let all = |d: &Directive| std::iter::once(d.name.clone()).chain(d.args.iter().cloned()).collect();
        parse(text, Path::new("nginx.conf")).expect(text).iter().map(all).collect()
    }

    fn said(text: &str) -> String {
        parse(text, Path::new("nginx.conf")).expect_err(text).to_string()
    }

    #[test]
    fn words_end_where_nginx_ends_them() {
        assert_eq!(words("a b'c d#;# e\n'' \"f g\";"), [vec!["a", "b'c", "d#"], vec!["", "f g"]]);
        assert_eq!(words(r#"if ($a ~ "^(x|y)$") { }"#), [["if", "($a", "~", "^(x|y)$", ")"]]);
        assert_eq!(words(r#"a "\"\\\d\t" \;\{ b\ c;"#), [["a", "\"\\\\d\t", "\\;\\{", "b\\ c"]]);
        assert_eq!(
            words("proxy_pass http://${up}:1$uri; a b}c;"),
            [["proxy_pass", "http://${up}:1$uri"], ["a", "b}c"]]
        );
        assert_eq!(words("a{}b { c; }"), [["a"], ["b"]]);
    }

    #[test]
    fn what_is_wrong_is_told_its_line() {
        for (text, expected) in [
            ("a;\n  b", "nginx.conf:2:3: the file ends before this directive does: a ; is missing"),
            ("a {\nb;", "nginx.conf:1:1: this block is not closed: a } is missing"),
            ("a { b }", "nginx.conf:1:5: a ; is missing behind this directive"),
            ("}", "nginx.conf:1:1: there is a } too many"),
            ("a;;", "nginx.conf:1:3: a directive has to begin with its name"),
            ("a 'b", "nginx.conf:1:3: this ' is not closed"),
            ("a 'b'c;", "nginx.conf:1:6: a space or ; has to follow the closing quote"),
            (
                "access_by_lua_block { if x then y = '}' end }",
                "nginx.conf:1:1: access_by_lua_block holds a program in Lua",
            ),
        ] {
            assert!(said(text).starts_with(expected), "{}", said(text));
        }
        assert!(said(&"a { ".repeat(100_000)).contains("more than 32 deep"));
        assert!(
            said(&"a;\n".repeat(100_001)).starts_with("nginx.conf:100001:1: there are more than 100000 directives")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([ \n;{}#'\"\\\\$a(]|\\PC){0,60}") {
            let _ = parse(&text, Path::new("nginx.conf"));
        }

        #[test]
        fn words_in_quotes_are_read_as_they_are(given in proptest::collection::vec("([ ;{}#'\"\\\\$\n]|\\PC){0,8}", 1..5)) {
            let place = Place { file: Path::new("x").into(), line: 1, column: 1 };
            let directive = Directive { name: given[0].clone(), args: given[1..].to_vec(), place, block: None };
            prop_assert_eq!(words(&written(&[directive])), [given]);
        }
    }
}

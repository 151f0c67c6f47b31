//! What a document says, by kind: headings, links, code.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::collections::BTreeMap;

/// A text, and the place where it stands, as in `docs/users.md:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) place: String,
    pub(crate) text: String,
}

/// A block of code, and the language that it says it is in.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) code: Found,
}

/// A Markdown file of the repository.
#[derive(Debug)]
pub(crate) struct Document {
    /// From the root of the repository.
    pub(crate) path: String,
    /// What its headings are called in links to them.
    pub(crate) anchors: Vec<String>,
    /// Where its links lead, and its pictures.
    pub(crate) links: Vec<Found>,
    /// What stands between backticks within the text.
    pub(crate) words: Vec<Found>,
    pub(crate) blocks: Vec<Block>,
}

impl Document {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let mut document =
            Self { path: path.to_owned(), anchors: vec![], links: vec![], words: vec![], blocks: vec![] };
        let mut heading: Option<String> = None;
        let mut block: Option<Block> = None;
        let mut repeated = BTreeMap::new();
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = 1 + text[..range.start].matches('\n').count();
            let found = |text: &str| Found { place: format!("{path}:{line}"), text: text.to_owned() };
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let name = anchor(&heading.take().unwrap_or_default());
                    let before = repeated.entry(name.clone()).and_modify(|times| *times += 1).or_insert(0);
                    document.anchors.push(if *before == 0 { name } else { format!("{name}-{before}") });
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(found(&dest_url));
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language =
                        if let CodeBlockKind::Fenced(language) = kind { language.to_string() } else { String::new() };
                    block = Some(Block { language, code: found("") });
                }
                Event::End(TagEnd::CodeBlock) => document.blocks.extend(block.take()),
                Event::Text(text) if block.is_some() => block.iter_mut().for_each(|block| block.code.text += &text),
                Event::Text(text) => heading.iter_mut().for_each(|heading| *heading += &text),
                Event::Code(code) => {
                    heading.iter_mut().for_each(|heading| *heading += &code);
                    document.words.push(found(&code));
                }
                _ => {}
            }
        }
        document
    }
}

/// The name that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn headings_have_the_names_that_github_gives_them() {
    let text = "# From `registry:2` and back\n## HTTP/2\n## What's it, then?\n## HTTP/2\n## a_b - c\n";
    let names = ["from-registry2-and-back", "http2", "whats-it-then", "http2-1", "a_b---c"];
    assert_eq!(Document::parse("x.md", text).anchors, names);
}

#[test]
fn links_words_and_blocks_are_found_with_their_lines() {
    let text = "[a](b.md#c) ![d](e.svg)\n\n| `f \\| g` |\n|---|\n| `h` |\n\n```sh\ni\nj\n```\n\n    k\n";
    let document = Document::parse("x.md", text);
    let places = |found: &[Found]| found.iter().map(|f| format!("{} {}", f.place, f.text)).collect::<Vec<_>>();
    assert_eq!(places(&document.links), ["x.md:1 b.md#c", "x.md:1 e.svg"]);
    assert_eq!(places(&document.words), ["x.md:3 f | g", "x.md:5 h"]);
    let blocks: Vec<_> = document.blocks.iter().map(|b| (b.language.as_str(), b.code.text.as_str())).collect();
    assert_eq!(blocks, [("sh", "i\nj\n"), ("", "k\n")]);
}

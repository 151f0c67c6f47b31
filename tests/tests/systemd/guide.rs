//! What `docs/install.md` tells its reader to do.

use std::fs;
use std::path::Path;

/// The blocks for a shell under a heading of the guide, in their order.
pub(crate) fn blocks(heading: &str) -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/install.md");
    blocks_in(&fs::read_to_string(guide).expect("the guide is in the repository"), heading)
}

fn blocks_in(guide: &str, heading: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    let section = guide.lines().skip_while(|line| *line != heading).skip(1);
    for line in section.take_while(|line| !line.starts_with("## ")) {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (None, _) => {}
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(commands), command) => *commands += &format!("{command}\n"),
        }
    }
    assert!(!blocks.is_empty(), "the guide has nothing to do under {heading}");
    blocks
}

#[test]
fn the_blocks_of_a_section_are_in_their_order() {
    let guide =
        "## A\n```sh\nno\n```\n## B\nDo:\n```sh\none\ntwo\n```\nand `x`\n```sh\nthree\n```\n## C\n```sh\nno\n```\n";
    assert_eq!(blocks_in(guide, "## B"), ["one\ntwo\n", "three\n"]);
}

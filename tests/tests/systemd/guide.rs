//! What `docs/systemd.md` tells its reader to do.

use std::fs;
use std::path::Path;

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Lines for a shell.
    Commands(String),
    /// A setting to be written into the file, as in `tls.key = "/etc/lockgate/domain.key"`.
    Setting(Setting),
}

/// A key of the configuration and its value, as TOML writes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) section: String,
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Setting {
    /// `SECTION.KEY = VALUE`, when it is that.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.split_once(" = ")?;
        let (section, key) = name.split_once('.')?;
        Some(Self { section: section.to_owned(), key: key.to_owned(), value: value.to_owned() })
    }
}

/// The steps under a heading of the guide, in their order: shell blocks, and settings that the text names.
pub(crate) fn steps(heading: &str) -> Vec<Step> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/systemd.md");
    steps_in(&fs::read_to_string(guide).expect("the guide is in the repository"), heading)
}

fn steps_in(guide: &str, heading: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut block: Option<String> = None;
    let section = guide.lines().skip_while(|line| *line != heading).skip(1);
    for line in section.take_while(|line| !line.starts_with("## ")) {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (None, prose) => {
                let code = prose.split('`').skip(1).step_by(2);
                steps.extend(code.filter_map(Setting::parse).map(Step::Setting));
            }
            (Some(_), "```") => steps.extend(block.take().map(Step::Commands)),
            (Some(commands), command) => *commands += &format!("{command}\n"),
        }
    }
    steps
}

#[test]
fn steps_are_blocks_and_settings_in_their_order() {
    let guide = "## A\n```sh\nno\n```\n## B\nDo:\n```sh\none\ntwo\n```\nSet `a.b = \"c\"` in `d`, `e.f = 1`.\n## C\n`g.h = 2`\n";
    let setting = |text| Step::Setting(Setting::parse(text).unwrap());
    let expected = vec![Step::Commands("one\ntwo\n".to_owned()), setting("a.b = \"c\""), setting("e.f = 1")];
    assert_eq!(steps_in(guide, "## B"), expected);
}

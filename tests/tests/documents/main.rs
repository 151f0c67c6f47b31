//! Promise: what the documents name is there: pages and headings, files, commands and their options, keys and variables
//! of the configuration, jobs of the Makefile.

mod markdown;
mod repository;
mod shell;

use markdown::{Document, Found};
use repository::Repository;

/// Each of them looks at the documents for one kind of thing, and says what is not there.
type Look = fn(&Repository, &Document) -> Vec<String>;

#[track_caller]
fn nothing_is_missing(look: Look) {
    let repository = Repository::open();
    let missing: Vec<String> = repository.documents.iter().flat_map(|document| look(&repository, document)).collect();
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

/// What `look` says of a document with this text.
fn missing_in(look: Look, text: &str) -> Vec<String> {
    look(&Repository::open(), &Document::parse("docs/made-up.md", text))
}

fn said_of<'a>(found: &'a [Found], what: impl Fn(&str) -> Option<String> + 'a) -> impl Iterator<Item = String> + 'a {
    found.iter().filter_map(move |found| what(&found.text).map(|wrong| format!("{}: {wrong}", found.place)))
}

fn links(repository: &Repository, document: &Document) -> Vec<String> {
    said_of(&document.links, |link| repository.wrong_link(document, link)).collect()
}

/// A notebook names what was there on its day.
fn is_history(document: &Document) -> bool {
    ["bench/NOTES.md", "CHANGELOG.md"].contains(&document.path.as_str())
}

fn files(repository: &Repository, document: &Document) -> Vec<String> {
    if is_history(document) {
        return vec![];
    }
    said_of(&document.words, |word| repository.wrong_file(word).or_else(|| repository.wrong_item(word))).collect()
}

/// The blocks of code in these languages.
fn blocks(document: &Document, languages: &[&str]) -> Vec<Found> {
    let blocks = document.blocks.iter().filter(|block| languages.contains(&block.language.as_str()));
    blocks.map(|block| block.code.clone()).collect()
}

fn quotations(repository: &Repository, document: &Document) -> Vec<String> {
    said_of(&blocks(document, &["rust"]), |code| repository.wrong_quotation(code)).collect()
}

fn command_lines(repository: &Repository, document: &Document) -> Vec<String> {
    let wrong = |text: &str| {
        let wrong: Vec<String> =
            shell::commands(text).iter().filter_map(|words| repository.wrong_command(words)).collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    };
    said_of(&blocks(document, &["", "sh"]), wrong).chain(said_of(&document.words, wrong)).collect()
}

fn settings(repository: &Repository, document: &Document) -> Vec<String> {
    if is_history(document) {
        return vec![];
    }
    let code: Vec<Found> = document.blocks.iter().map(|block| block.code.clone()).collect();
    let keys = said_of(&document.words, |word| repository.wrong_key(word));
    let variables = [&document.words, &code].map(|found| said_of(found, |text| repository.wrong_variable(text)));
    keys.chain(variables.into_iter().flatten()).collect()
}

fn configurations(repository: &Repository, document: &Document) -> Vec<String> {
    said_of(&blocks(document, &["toml"]), |text| repository.wrong_configuration(text)).collect()
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_of_it() {
    nothing_is_missing(links);
}

#[test]
fn files_and_items_of_the_source_are_where_the_documents_say() {
    nothing_is_missing(files);
}

#[test]
fn what_is_quoted_of_the_source_stands_there() {
    nothing_is_missing(quotations);
}

#[test]
fn commands_options_scripts_and_jobs_are_those_that_there_are() {
    nothing_is_missing(command_lines);
}

#[test]
fn keys_and_variables_are_those_that_the_programs_know() {
    nothing_is_missing(settings);
}

#[test]
fn configurations_pass_the_check() {
    nothing_is_missing(configurations);
}

#[test]
fn every_option_of_every_command_is_in_the_reference() {
    let repository = Repository::open();
    let reference = repository.document("docs/commands.md");
    let named = |option: &str| reference.words.iter().any(|word| word.text.split(' ').any(|part| part == option));
    let options = repository.options().filter(|option| !["--help", "--version"].contains(&option.as_str()));
    let missing: Vec<String> = options.filter(|option| !named(option)).collect();
    assert!(missing.is_empty(), "docs/commands.md does not tell of {missing:?}");
}

#[test]
fn every_page_is_in_the_index() {
    let repository = Repository::open();
    let index = repository.document("docs/README.md");
    let pages = repository.documents.iter().filter_map(|document| document.path.strip_prefix("docs/"));
    let missing: Vec<&str> =
        pages.filter(|page| *page != "README.md" && !index.links.iter().any(|link| link.text == *page)).collect();
    assert!(missing.is_empty(), "docs/README.md does not lead to {missing:?}");
}

#[test]
fn what_is_not_there_is_found() {
    for (look, wrong, right) in [
        (links as Look, "[a](nowhere.md)", "[a](users.md)"),
        (links, "[a](users.md#nowhere)", "[a](users.md#wrong-passwords)"),
        (links, "[a](#nowhere)", "# A\n[a](#a)"),
        (links, "[a](../../outside.md)", "[a](../README.md)"),
        (files, "`proxy/src/nowhere.rs`", "`proxy/src/refusal.rs`"),
        (files, "`nowhere/mod.rs`", "`gate/mod.rs`"),
        (files, "`proxy/nowhere/<name>.rs`", "`proxy/src/cli/<name>.rs`"),
        (files, "`Gate::nowhere`", "`Gate::permit`"),
        (quotations, "```rust\nfn nowhere() {}\n```", "```rust\nmod markdown;\n```"),
        (command_lines, "```sh\nlockgate nowhere --config x\n```", "```sh\nlockgate check --config x\n```"),
        (command_lines, "| `lockgate check --nowhere` |\n|---|", "| `lockgate check --config x` |\n|---|"),
        (command_lines, "`sudo lockgate-backend serve --nowhere`", "`sudo lockgate-backend serve --config x`"),
        (command_lines, "`make nowhere`", "`make test`"),
        (command_lines, "    python3 bench/turns.py --nowhere", "    python3 bench/turns.py --pairs 3"),
        (command_lines, "`python3 bench/nowhere.py 1`", "`python3 bench/door.py idle`"),
        (settings, "`limits.nowhere`", "`limits.header_size`"),
        (settings, "`tls.nowhere = 1`", "`storage.delete = true`"),
        (settings, "`[nowhere]`", "`[limits]`"),
        (settings, "`LOCKGATE_LOG_NOWHERE`", "`LOCKGATE_LOG_LEVEL`"),
        (settings, "```sh\nLOCKGATE_NOWHERE=1 x\n```", "```sh\nLOCKGATE_PUBLISH=1 x\n```"),
        (settings, "`LOCKGATE_BACKEND_LOG_NOWHERE`", "`LOCKGATE_BACKEND_LOG_LEVEL`"),
        (configurations, "```toml\n[limits]\nnowhere = 1\n```", "```toml\n[limits]\nstreams = 1\n```"),
    ] {
        assert_eq!(missing_in(look, wrong).len(), 1, "{wrong}: {:?}", missing_in(look, wrong));
        assert_eq!(missing_in(look, right), [""; 0], "{right}");
    }
}

//! What can be configured, told from the shape: an example file, a page of every key, a JSON Schema.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::Configuration;

/// Columns of an example file.
const WIDTH: usize = 118;

/// Every section and key of a [`Configuration`], in the order of its fields.
#[derive(Debug)]
pub struct Reference {
    schema: Value,
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    name: String,
    text: String,
    /// It is not there unless it is written: it stands in the place of another one, or there may be several.
    is_optional: bool,
    /// There may be several, each below a line of its name in two brackets.
    is_repeated: bool,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    name: String,
    /// By which it is overridden; none has what there may be several of.
    variable: Option<String>,
    text: String,
    /// What its values are, as in `a whole number from 1 to 256`.
    kind: String,
    /// As TOML.
    default: String,
}

impl Reference {
    /// That of a shape.
    ///
    /// # Panics
    /// When the shape is not made of sections, each a struct of keys with defaults. A test finds that.
    pub fn of<T: Configuration>() -> Self {
        // Editors for TOML know this draft; where it counts, a `$ref` hides what stands beside it.
        let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
        let mut schema = Value::from(settings.into_generator().into_root_schema_for::<T>());
        let both =
            T::EITHER.iter().map(|either| serde_json::json!({ "not": { "required": [either.one, either.other] } }));
        if !T::EITHER.is_empty() {
            schema["allOf"] = both.collect();
        }
        let unless_written = toml::to_string(&T::default()).expect("a default can be written");
        let with_all = toml::to_string(&T::example()).expect("an example can be written");
        let values: toml::Table = toml::from_str(&with_all).expect("what was written can be read");
        let mut sections: Vec<Section> = Vec::new();
        // toml writes the header of a section and each key with its value on a line of its own.
        let mut lines = with_all.lines().peekable();
        while let Some(line) = lines.next() {
            let header = line.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
            let repeated = header.and_then(|name| name.strip_prefix('[')?.strip_suffix(']'));
            if let Some((name, key)) = repeated.and_then(|path| path.split_once('.')) {
                // Tables within one: shown in one line, once.
                let section = sections.last_mut().expect("it stands in a section");
                if !section.keys.iter().any(|known| known.name == key) {
                    let example = values[name][0][key].to_string();
                    section.keys.push(Key::of::<T>(&schema, section, key, &example));
                }
                while lines.next_if(|line| !line.starts_with('[')).is_some() {}
            } else if let Some(name) = repeated.or(header) {
                let is_optional = !unless_written.lines().any(|written| written == line);
                let (name, text) = (name.to_owned(), text(&schema["properties"][name]));
                sections.push(Section { name, text, is_optional, is_repeated: repeated.is_some(), keys: Vec::new() });
            } else if let Some((name, default)) = line.split_once(" = ") {
                let section = sections.last_mut().expect("each key stands in a section");
                section.keys.push(Key::of::<T>(&schema, section, name, default));
            }
        }
        Self { schema, sections }
    }

    /// A file with every key and its default, below its text. `introduction` stands at the top, and `schema` is where
    /// [`Reference::schema`] lies, for editors.
    pub fn example(&self, introduction: &str, schema: &str) -> String {
        let mut file = format!("#:schema {schema}\n\n");
        comment(&mut file, introduction);
        for section @ Section { text, is_optional, keys, .. } in &self.sections {
            let mark = if *is_optional { "#" } else { "" };
            file.push('\n');
            comment(&mut file, text);
            let _ = writeln!(file, "{mark}{}", section.header());
            for (index, Key { name, variable, text, kind, default }) in keys.iter().enumerate() {
                file.push_str(if index == 0 { "" } else { "\n" });
                comment(&mut file, text);
                let variable = variable.as_ref().map_or(String::new(), |variable| format!("{variable}: "));
                comment(&mut file, &format!("{variable}{kind}"));
                let _ = writeln!(file, "{mark}{name} = {default}");
            }
        }
        file
    }

    /// The same as Markdown, below a heading.
    pub fn markdown(&self, heading: &str) -> String {
        let mut page = format!("## {heading}\n");
        for section @ Section { name, text, keys, .. } in &self.sections {
            let _ = write!(page, "\n### `{}`\n\n{text}\n", section.header());
            for Key { name: key, variable, text, kind, default } in keys {
                let _ = write!(page, "\n#### `{name}.{key}`\n\n{text}\n\n");
                let _ = match variable {
                    Some(variable) => writeln!(page, "Default `{default}` · {kind} · `{variable}`"),
                    None => writeln!(page, "As in `{default}` · {kind}"),
                };
            }
        }
        page
    }

    /// The JSON Schema of the file, by which an editor completes and checks it.
    ///
    /// # Panics
    /// Never: a JSON value can be written.
    pub fn schema(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.schema).expect("a JSON value can be written");
        text.push('\n');
        text
    }
}

impl Section {
    /// The line above its keys.
    fn header(&self) -> String {
        if self.is_repeated { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }
}

impl Key {
    fn of<T: Configuration>(schema: &Value, section: &Section, name: &str, default: &str) -> Self {
        let about = &schema["properties"][&section.name];
        let about = &(if section.is_repeated { &about["items"] } else { about })["properties"][name];
        Self {
            name: name.to_owned(),
            variable: (!section.is_repeated).then(|| T::PREFIX.variable(&section.name, name)),
            text: text(about),
            kind: kind(about),
            default: default.to_owned(),
        }
    }
}

/// The text of a section or key, a line a paragraph.
fn text(about: &Value) -> String {
    let text = about["description"].as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn kind(about: &Value) -> String {
    if let Some(title) = about["title"].as_str() {
        return title.to_owned();
    }
    if let Some(variants) = about["oneOf"].as_array() {
        let names: Vec<_> = variants.iter().map(|variant| variant["const"].to_string()).collect();
        return names.join(", ");
    }
    if let Some(names) = about["enum"].as_array() {
        return names.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
    }
    match about["type"].as_str() {
        Some("boolean") => "true or false",
        Some("integer") => "a whole number",
        Some("array") if about["items"]["type"] == "object" => "tables, in brackets",
        Some("array") => "an array, written the same in the environment",
        _ => "a text",
    }
    .to_owned()
}

/// Writes `text` as a comment of TOML: no editor shows Markdown there.
fn comment(file: &mut String, text: &str) {
    for line in text.replace('`', "").lines() {
        for part in textwrap::wrap(line, WIDTH) {
            let _ = writeln!(file, "{}", format!("# {part}").trim_end());
        }
    }
}

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
    /// It stands in the place of another one, and is not there unless it is written.
    is_instead: bool,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    name: String,
    variable: String,
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
        let mut sections: Vec<Section> = Vec::new();
        // toml writes the header of a section and each key with its value on a line of its own.
        for line in with_all.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
                let is_instead = !unless_written.lines().any(|written| written == line);
                let text = text(&schema["properties"][name]);
                sections.push(Section { name: name.to_owned(), text, is_instead, keys: Vec::new() });
            } else if let Some((name, default)) = line.split_once(" = ") {
                let section = sections.last_mut().expect("each key stands in a section");
                let about = &schema["properties"][&section.name]["properties"][name];
                section.keys.push(Key {
                    name: name.to_owned(),
                    variable: T::PREFIX.variable(&section.name, name),
                    text: text(about),
                    kind: kind(about),
                    default: default.to_owned(),
                });
            }
        }
        Self { schema, sections }
    }

    /// A file with every key and its default, below its text. `introduction` stands at the top, and `schema` is where
    /// [`Reference::schema`] lies, for editors.
    pub fn example(&self, introduction: &str, schema: &str) -> String {
        let mut file = format!("#:schema {schema}\n\n");
        comment(&mut file, introduction);
        for Section { name, text, is_instead, keys } in &self.sections {
            let mark = if *is_instead { "#" } else { "" };
            file.push('\n');
            comment(&mut file, text);
            let _ = writeln!(file, "{mark}[{name}]");
            for (index, Key { name, variable, text, kind, default }) in keys.iter().enumerate() {
                file.push_str(if index == 0 { "" } else { "\n" });
                comment(&mut file, text);
                comment(&mut file, &format!("{variable}: {kind}"));
                let _ = writeln!(file, "{mark}{name} = {default}");
            }
        }
        file
    }

    /// The same as Markdown, below a heading.
    pub fn markdown(&self, heading: &str) -> String {
        let mut page = format!("## {heading}\n");
        for Section { name, text, keys, .. } in &self.sections {
            let _ = write!(page, "\n### `[{name}]`\n\n{text}\n");
            for Key { name: key, variable, text, kind, default } in keys {
                let _ = write!(page, "\n#### `{name}.{key}`\n\n{text}\n\n");
                let _ = writeln!(page, "Default `{default}` · {kind} · `{variable}`");
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

//! A document as a tree that remembers its lines, the same whether it came from YAML or from the cluster's JSON.
//!
//! It has no `Debug` that shows values: a tree may hold secrets.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A value and the line it stands on (0 where there are no lines).
#[derive(Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) content: Content,
}

/// A field of an object: its name, the line of the name, its value.
#[derive(Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: u32,
    pub(crate) node: Node,
}

/// What a node is.
#[derive(Clone, PartialEq)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Node {
    /// The value of a field, if this is an object that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// A field, if this is an object that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if this is one.
    pub(crate) fn as_int(&self) -> Option<i64> {
        match self.content {
            Content::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The elements, if this is a list.
    pub(crate) fn as_list(&self) -> Option<&[Node]> {
        match &self.content {
            Content::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The fields, if this is an object.
    pub(crate) fn as_map(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// A word for what this is, for people.
    pub(crate) const fn kind_word(&self) -> &'static str {
        match self.content {
            Content::Null => "empty",
            Content::Bool(_) => "true or false",
            Content::Int(_) => "a whole number",
            Content::Float(_) => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "an object",
        }
    }

    /// The same as JSON. Fields that are `null` are left out, as the API server treats them.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Int(value) => Value::from(*value),
            Content::Float(value) => Value::from(*value),
            Content::Text(value) => Value::String(value.clone()),
            Content::List(elements) => Value::Array(elements.iter().map(Self::to_json).collect()),
            Content::Map(entries) => {
                let present = entries.iter().filter(|entry| entry.node.content != Content::Null);
                Value::Object(present.map(|entry| (entry.key.clone(), entry.node.to_json())).collect())
            }
        }
    }

    /// The line of the deepest part of a path that exists; `None` where there are no lines.
    pub(crate) fn line_of(&self, path: &str) -> Option<u32> {
        let mut node = self;
        let mut line = self.line;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
                Some(index) => node.as_list().and_then(|list| list.get(index)).map(|node| (node.line, node)),
                None => node.entry(step).map(|entry| (entry.line, &entry.node)),
            };
            let Some((found, below)) = next else { break };
            (line, node) = (found, below);
        }
        (line > 0).then_some(line)
    }

    /// Moves every line down by an offset, for a document that does not start its file.
    pub(crate) fn shift(&mut self, offset: u32) {
        self.line += offset;
        match &mut self.content {
            Content::List(elements) => elements.iter_mut().for_each(|element| element.shift(offset)),
            Content::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.line += offset;
                entry.node.shift(offset);
            }),
            _ => {}
        }
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(*value),
            Value::Number(number) => {
                number.as_i64().map_or_else(|| Content::Float(number.as_f64().unwrap_or(f64::MAX)), Content::Int)
            }
            Value::String(text) => Content::Text(text.clone()),
            Value::Array(elements) => Content::List(elements.iter().map(Self::from).collect()),
            Value::Object(fields) => Content::Map(
                fields.iter().map(|(key, value)| Entry { key: key.clone(), line: 0, node: value.into() }).collect(),
            ),
        };
        Self { line: 0, content }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { line: line_number(&spanned.referenced), content: spanned.value })
    }
}

fn line_number(location: &serde_saphyr::Location) -> u32 {
    u32::try_from(location.line()).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Int(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "a number beyond every bound is refused wherever it is used")]
    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(i64::try_from(value).map_or(Content::Float(value as f64), Content::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Content::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let node = access.next_value()?;
            entries.push(Entry { line: line_number(&key.referenced), key: key.value, node });
        }
        Ok(Content::Map(entries))
    }
}

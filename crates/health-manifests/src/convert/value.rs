//! Values that may be secret, from the manifest itself or from a Secret or ConfigMap of the object's namespace.

use health_model::{BasicCredentials, ObjectId, Sensitive};

use super::Conversion;
use crate::{
    material::{KeyValues, MaterialKind, Reference},
    path::FieldPath,
    resource::value::{BasicAuth, KeyRef, NamedValueOrRef, SecretText, ValueOrRef, ValueSource},
};

/// Largest value taken from a Secret or ConfigMap, in bytes.
const MAX_VALUE_BYTES: usize = 1 << 20;

/// A Secret or ConfigMap that was read.
pub(crate) struct Held {
    /// Which field wanted it, and what it is, for people.
    what: String,
    contents: KeyValues,
}

/// What became of a value.
pub(crate) enum Read {
    /// It is known.
    Known(Sensitive),
    /// It stands elsewhere, and nothing is read now.
    Elsewhere,
}

impl Read {
    /// The value, or an empty text that stands for it while nothing is read.
    pub(crate) fn into_sensitive(self) -> Sensitive {
        match self {
            Self::Known(value) => value,
            Self::Elsewhere => Sensitive::new(""),
        }
    }
}

const NEEDS_ONE_VALUE: (&str, &str) = ("needs exactly one value", "give value or valueFrom");
const NEEDS_ONE_SOURCE: (&str, &str) = ("needs exactly one source", "give secretKeyRef or configMapKeyRef");

impl Conversion<'_> {
    /// Reads `{value}` or `{valueFrom}`.
    pub(crate) fn value(&mut self, path: &FieldPath<'_>, value: &ValueOrRef) -> Option<Read> {
        let ValueOrRef { value, value_from } = value;
        self.value_or_source(path, value.as_ref(), value_from.as_ref())
    }

    /// Reads `{value}` or `{valueFrom}` as text.
    pub(crate) fn sensitive(&mut self, path: &FieldPath<'_>, value: &ValueOrRef) -> Option<Sensitive> {
        self.value(path, value).map(Read::into_sensitive)
    }

    fn value_or_source(
        &mut self,
        path: &FieldPath<'_>,
        value: Option<&SecretText>,
        source: Option<&ValueSource>,
    ) -> Option<Read> {
        match (value, source) {
            (Some(SecretText(text)), None) => Some(Read::Known(Sensitive::new(text.as_str()))),
            (None, Some(source)) => self.source(&path.key("valueFrom"), source),
            _ => {
                self.fault(path, NEEDS_ONE_VALUE.0, NEEDS_ONE_VALUE.1);
                None
            }
        }
    }

    /// Reads `{secretKeyRef}` or `{configMapKeyRef}`.
    pub(crate) fn source(&mut self, path: &FieldPath<'_>, source: &ValueSource) -> Option<Read> {
        let ValueSource { secret_key_ref, config_map_key_ref } = source;
        let (kind, reference, field) = match (secret_key_ref, config_map_key_ref) {
            (Some(reference), None) => (MaterialKind::Secret, reference, "secretKeyRef"),
            (None, Some(reference)) => (MaterialKind::ConfigMap, reference, "configMapKeyRef"),
            _ => {
                self.fault(path, NEEDS_ONE_SOURCE.0, NEEDS_ONE_SOURCE.1);
                return None;
            }
        };
        self.key(&path.key(field), kind, reference)
    }

    /// Reads one key.
    pub(crate) fn key(&mut self, path: &FieldPath<'_>, kind: MaterialKind, reference: &KeyRef) -> Option<Read> {
        let KeyRef { name, key } = reference;
        match self.held(path, kind, name)? {
            None => Some(Read::Elsewhere),
            Some(held) => {
                let text = self.text(&held, key)?;
                Some(Read::Known(Sensitive::new(without_final_newline(&text))))
            }
        }
    }

    /// Reads a whole Secret or ConfigMap; `Some(None)` when nothing is read now.
    pub(crate) fn held(&mut self, path: &FieldPath<'_>, kind: MaterialKind, name: &str) -> Option<Option<Held>> {
        let namespace = self.namespace;
        self.references.insert(Reference { kind, id: ObjectId::new(namespace, name) });
        let Some(materials) = self.materials else { return Some(None) };
        let read = match kind {
            MaterialKind::Secret => materials.secret(namespace, name),
            MaterialKind::ConfigMap => materials.config_map(namespace, name),
        };
        let what = format!("{path}: {} {namespace}/{name}", kind.as_str());
        match read {
            Ok(contents) => Some(Some(Held { what, contents })),
            Err(error) => {
                self.unavailable.push(format!("{what} {error}"));
                None
            }
        }
    }

    /// One value out of what was read.
    pub(crate) fn text(&mut self, held: &Held, key: &str) -> Option<String> {
        let Held { what, contents } = held;
        let problem = match contents.get(key) {
            None => format!("{what} has no key {key:?}"),
            Some(bytes) if bytes.len() > MAX_VALUE_BYTES => format!("{what}, key {key:?} is longer than 1 MiB"),
            Some(bytes) => match String::from_utf8(bytes.clone()) {
                Ok(text) => return Some(text),
                Err(_) => format!("{what}, key {key:?} is no UTF-8 text"),
            },
        };
        self.unavailable.push(problem);
        None
    }

    /// Reads user name and password.
    pub(crate) fn basic(&mut self, path: &FieldPath<'_>, basic: &BasicAuth) -> Option<BasicCredentials> {
        let BasicAuth { username, password } = basic;
        let username = self.value(&path.key("username"), username);
        let password = self.sensitive(&path.key("password"), password);
        if let Some(Read::Known(name)) = &username
            && name.expose().contains(':')
        {
            self.fault(path.key("username"), "holds a colon", "basic auth (RFC 7617) allows none in the user's name");
        }
        Some(BasicCredentials { username: username?.into_sensitive(), password: password? })
    }

    /// Reads a list of headers.
    pub(crate) fn headers(
        &mut self,
        path: &FieldPath<'_>,
        headers: &[NamedValueOrRef],
    ) -> Vec<health_model::NamedValue> {
        let read = |(index, header): (usize, &NamedValueOrRef)| self.header(&path.index(index), header);
        headers.iter().enumerate().filter_map(read).collect()
    }

    fn header(&mut self, path: &FieldPath<'_>, header: &NamedValueOrRef) -> Option<health_model::NamedValue> {
        let NamedValueOrRef { name, value, value_from } = header;
        let value = self.value_or_source(path, value.as_ref(), value_from.as_ref());
        let good_name = self.header_name(path, name);
        if let Some(Read::Known(text)) = &value
            && !text.expose().chars().all(|c| c == '\t' || !c.is_control())
        {
            self.fault(path, "has a value with control characters", "HTTP allows none: remove line breaks from it");
            return None;
        }
        good_name.then_some(health_model::NamedValue { name: name.clone(), value: value?.into_sensitive() })
    }

    /// Whether a name may stand in front of a header's colon (RFC 9110 section 5.1).
    pub(crate) fn header_name(&mut self, path: &FieldPath<'_>, name: &str) -> bool {
        let good = !name.is_empty() && name.bytes().all(is_token_byte);
        if !good {
            let remedy = "use letters, digits and hyphens, as in X-Api-Key";
            self.fault(path.key("name"), "is no header name", remedy);
        }
        good
    }
}

/// A byte of a token (RFC 9110 section 5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// People make Secrets from files, and files end in a newline: one is dropped.
fn without_final_newline(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

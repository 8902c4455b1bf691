//! Query parameters, read strictly: what is unknown, given twice or unreadable is refused by name, so that a typo never
//! looks like an answer.

use axum::extract::{FromRequestParts, Path, Query};
use http::{Uri, request::Parts};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The parameters of one request, each known and given once.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query of a request that takes these parameters.
    ///
    /// # Errors
    /// A 400 that names the first parameter that is unknown, given twice or no text.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Problem::new(http::StatusCode::BAD_REQUEST, error.body_text()))?;
        for (place, (name, value)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let allowed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Problem::unknown_parameter(name, value, &allowed));
            }
            // What is no UTF-8 once it is decoded arrives as replacement characters, which nobody asks for.
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(Problem::parameter(name, value, "percent-encoded UTF-8"));
            }
            if pairs.iter().take(place).any(|(before, _)| before == name) {
                return Err(Problem::parameter(name, value, "given once"));
            }
        }
        Ok(Self(pairs))
    }

    /// Reads the query of a request that takes these parameters and does not mind others.
    ///
    /// # Errors
    /// A 400 that names the first of them that is given twice.
    pub(crate) fn read_lenient(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let given = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        let mut read = Self::default();
        for (name, value) in given.into_iter().filter(|(name, _)| known.contains(&name.as_str())) {
            if read.get(&name).is_some() {
                return Err(Problem::parameter(&name, &value, "given once"));
            }
            read.0.push((name, value));
        }
        Ok(read)
    }

    /// A parameter's value, if it was given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's value as text of its own.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A parameter read by a function that gives nothing for what it cannot read; `allowed` says what it can.
    ///
    /// # Errors
    /// A 400 that names parameter, value and what is allowed.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        allowed: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| Problem::parameter(name, value, allowed))
    }

    /// A parameter that is `true` or `false`.
    ///
    /// # Errors
    /// A 400 for anything else.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.parsed(name, "true or false", |value| value.parse().ok())
    }
}

/// The parts of a path; one that is no UTF-8 when decoded is a 404 like any other that nobody has.
pub(crate) struct PathParts<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for PathParts<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(read)) => Ok(Self(read)),
            Err(_unreadable) => Err(Problem::not_found(format!("there is nothing at {}", parts.uri.path()))),
        }
    }
}

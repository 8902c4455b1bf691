//! The description of the REST endpoint, generated from the handlers, and the index at `/`, generated from it.

use axum::{body::Bytes, extract::State, response::Response};
use http::{HeaderMap, Uri};
use serde_json::{Value, json};
use utoipa::openapi::{
    InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{
    etag::{EntityTag, fingerprint},
    parameters::Parameters,
    problem::Problem,
    rest::Rest,
};

/// The description and the index, written once.
#[derive(Clone)]
pub(crate) struct Description {
    json: Bytes,
    index: Bytes,
}

impl Description {
    pub(crate) fn new(api: &OpenApi) -> Self {
        let written = |value: &Value| serde_json::to_vec(value).unwrap_or_default().into();
        Self { json: api.to_json().unwrap_or_default().into(), index: written(&index(api)) }
    }
}

/// What is the same in every description: title, version, licence, how a heartbeat's token is sent.
pub(crate) fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Health Check Operator")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("What is known about every configured health check."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let mut frame = OpenApiBuilder::new().info(info).build();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    frame.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    frame
}

/// Every path with what it answers, by the first line of its description.
fn index(api: &OpenApi) -> Value {
    let described = api.paths.paths.iter().flat_map(|(path, item)| {
        [("GET", &item.get), ("POST", &item.post)].into_iter().filter_map(move |(method, operation)| {
            let summary = operation.as_ref()?.summary.clone();
            Some(json!({"method": method, "path": path, "answers": summary}))
        })
    });
    json!({
        "name": "health-check-operator",
        "version": env!("CARGO_PKG_VERSION"),
        "endpoints": described.collect::<Vec<_>>(),
    })
}

/// What there is at this port.
#[utoipa::path(get, path = "/", tag = "about", responses((status = 200, description = "The endpoints", body = Object)))]
pub(crate) async fn root(State(rest): State<Rest>, headers: HeaderMap) -> Response {
    EntityTag::from_fingerprint(fingerprint(&rest.description.index)).answer(&headers, rest.description.index.clone())
}

/// This description.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "about",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = Object),
        (status = 400, description = "A parameter, where none is read", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn openapi_json(State(rest): State<Rest>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    Parameters::read(&uri, &[])?;
    Ok(EntityTag::from_fingerprint(fingerprint(&rest.description.json)).answer(&headers, rest.description.json.clone()))
}

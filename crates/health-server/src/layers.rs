//! What every answer has in common, whoever gives it: a panic is a 500, an unknown path a 404, a wrong method a 405,
//! each as a problem; nothing is cached unasked; bodies are compressed when asked.

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, Uri, header};
use tower_http::{
    CompressionLevel,
    catch_panic::{CatchPanicLayer, ResponseForPanic},
    compression::CompressionLayer,
};

use crate::{
    problem::Problem,
    serve::Service,
    telemetry::{Listener, Telemetry},
};

/// Turns routes into a service: fallbacks, compression, headers, counting, and no way out for a panic.
pub(crate) fn finish(router: Router, listener: Listener, telemetry: Arc<Telemetry>) -> Service {
    let on_panic = OnPanic { listener, telemetry: Arc::clone(&telemetry) };
    let counted = Arc::clone(&telemetry);
    let router = router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(middleware::from_fn(move |request, next| common(listener, Arc::clone(&counted), request, next)));
    Service { listener, router, telemetry }
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}; see / for what there is", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}; see Allow", uri.path()))
}

async fn common(listener: Listener, telemetry: Arc<Telemetry>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    let class = usize::from(response.status().as_u16() / 100).saturating_sub(1);
    if let Some(count) = telemetry.listener(listener).answers.get(class) {
        count.add();
    }
    response
}

#[derive(Clone)]
struct OnPanic {
    listener: Listener,
    telemetry: Arc<Telemetry>,
}

impl ResponseForPanic for OnPanic {
    type ResponseBody = axum::body::Body;

    fn response_for_panic(&mut self, panic: Box<dyn Any + Send + 'static>) -> Response {
        self.telemetry.listener(self.listener).panics.add();
        let words =
            panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(listener = self.listener.as_str(), panic = words.unwrap_or("no words"), "a handler panicked");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of ours; the log says more").into_response()
    }
}

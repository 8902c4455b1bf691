//! The resources as users write them: one type per section, from which the CRDs, the structural checks and the field
//! references are made. They say what may be written; [`crate::convert`] says what it means.

pub mod health_check;
pub mod http;
pub mod tcp;
pub mod tls;
pub mod value;

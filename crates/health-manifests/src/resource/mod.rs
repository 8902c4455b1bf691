//! The resources as users write them: one type per section, from which the CRDs, the structural checks and the field
//! references are made. They say what may be written; [`crate::convert`] says what it means.

#![expect(unreachable_pub, reason = "the KubeSchema derive declares a public struct inside a function")]

pub mod channel;
pub mod dns;
pub mod grpc;
pub mod health_check;
pub mod heartbeat;
pub mod http;
pub mod icmp;
pub mod notification_rule;
pub mod tcp;
pub mod tls;
pub mod udp;
pub mod value;
pub mod websocket;

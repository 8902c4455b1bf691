//! Telling people: match, hold, group, render, send, retry, record

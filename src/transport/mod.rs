//! Connections to a peer, over HTTP or to a local process.

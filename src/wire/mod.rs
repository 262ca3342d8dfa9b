//! Bytes to values and back. What lives here decides nothing and opens nothing.

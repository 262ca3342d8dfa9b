//! Names of refs that many places hold at once.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

/// The full name of a ref. Bytes, not necessarily UTF-8; a copy costs no memory.
///
/// A run mentions each ref in its plan, its commands and its report, and there can be hundreds of thousands of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(Arc<[u8]>);

impl Deref for RefName {
    type Target = BStr;

    fn deref(&self) -> &BStr {
        self.0.as_bstr()
    }
}

impl Borrow<BStr> for RefName {
    fn borrow(&self) -> &BStr {
        self
    }
}

impl AsRef<BStr> for RefName {
    fn as_ref(&self) -> &BStr {
        self
    }
}

impl AsRef<[u8]> for RefName {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&BStr> for RefName {
    fn from(name: &BStr) -> Self {
        RefName(Arc::from(name.as_bytes()))
    }
}

impl From<BString> for RefName {
    fn from(name: BString) -> Self {
        name.as_bstr().into()
    }
}

impl From<&str> for RefName {
    fn from(name: &str) -> Self {
        BStr::new(name).into()
    }
}

impl From<String> for RefName {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl PartialEq<str> for RefName {
    fn eq(&self, other: &str) -> bool {
        **self == other
    }
}

impl PartialEq<&str> for RefName {
    fn eq(&self, other: &&str) -> bool {
        **self == *other
    }
}

impl PartialEq<BStr> for RefName {
    fn eq(&self, other: &BStr) -> bool {
        **self == *other
    }
}

impl PartialEq<BString> for RefName {
    fn eq(&self, other: &BString) -> bool {
        **self == *other
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

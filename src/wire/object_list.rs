//! Ids of objects that many places hold at once.

use std::sync::Arc;

use gix_hash::ObjectId;

use super::columns::Ids;

/// Object ids in order, 20 or 32 bytes each; a copy costs no memory. A mirror can have hundreds of thousands to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectList(Arc<Ids>);

impl ObjectList {
    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = ObjectId> + Clone {
        (0..self.len()).filter_map(|number| self.0.get(number))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<ObjectId> for ObjectList {
    fn from_iter<I: IntoIterator<Item = ObjectId>>(objects: I) -> Self {
        let mut ids = Ids::default();
        objects.into_iter().for_each(|oid| ids.push(Some(oid)));
        ids.shrink();
        ObjectList(Arc::new(ids))
    }
}

impl From<&[ObjectId]> for ObjectList {
    fn from(objects: &[ObjectId]) -> Self {
        objects.iter().copied().collect()
    }
}

impl<const N: usize> From<[ObjectId; N]> for ObjectList {
    fn from(objects: [ObjectId; N]) -> Self {
        objects.into_iter().collect()
    }
}

impl From<Vec<ObjectId>> for ObjectList {
    fn from(objects: Vec<ObjectId>) -> Self {
        objects.into_iter().collect()
    }
}

//! Labels of the requests of a trace: fields and columns that it may have.

use sglsim_units::{HashMap, HashSet, Labels};

use crate::error::{TraceErrorKind, shortened};

/// Fields that are read if a line has them, under SGLang's names.
pub(crate) const FIELDS: [&str; 5] = ["rid", "priority", "routing_key", "extra_key", "lora_path"];

/// Reads labels; texts become numbers in the order in which they appear.
#[derive(Debug, Default)]
pub(crate) struct LabelReader {
    /// By `extra_key` and `lora_path`, which SGLang joins.
    namespaces: HashMap<(String, String), u32>,
    routing_keys: HashMap<String, u32>,
    ids: HashSet<String>,
}

impl LabelReader {
    /// The labels of one line, whose fields `text` gives; `None` is a field that is not there.
    pub(crate) fn read(
        &mut self,
        mut text: impl FnMut(&'static str) -> Result<Option<String>, TraceErrorKind>,
    ) -> Result<Labels, TraceErrorKind> {
        if let Some(id) = text("rid")? {
            if self.ids.contains(&id) {
                return Err(TraceErrorKind::Repeated { field: "rid", value: shortened(&id) });
            }
            self.ids.insert(id);
        }
        let mut labels = Labels::default();
        if let Some(priority) = text("priority")? {
            labels.priority = Some(priority.parse().map_err(|_| TraceErrorKind::Value {
                field: "priority",
                value: shortened(&priority),
                allowed: "a whole number".to_owned(),
            })?);
        }
        if let Some(key) = text("routing_key")? {
            let next = number(self.routing_keys.len());
            labels.routing_key = Some(*self.routing_keys.entry(key).or_insert(next));
        }
        let (extra_key, adapter) = (text("extra_key")?, text("lora_path")?);
        if extra_key.is_some() || adapter.is_some() {
            let space = (extra_key.unwrap_or_default(), adapter.unwrap_or_default());
            // Namespace 0 is that of requests without either.
            let next = number(self.namespaces.len() + 1);
            labels.namespace = *self.namespaces.entry(space).or_insert(next);
        }
        Ok(labels)
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a trace has fewer than 2^32 requests")
}

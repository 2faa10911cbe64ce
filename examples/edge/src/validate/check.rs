//! Small checks of JSON members. Each error names the member by its path. As in the Delivery API, a null is an absent
//! member and unknown members are ignored.

use serde_json::{Map, Value};

pub(crate) type Checked<T = ()> = Result<T, String>;

/// A JSON object and where it is.
#[derive(Clone)]
pub(crate) struct Object<'a> {
    members: &'a Map<String, Value>,
    path: String,
}

impl<'a> Object<'a> {
    pub(crate) fn root(value: &'a Value) -> Checked<Object<'a>> {
        Object::new(value, String::new())
    }

    fn new(value: &'a Value, path: String) -> Checked<Object<'a>> {
        match value.as_object() {
            Some(members) => Ok(Object { members, path }),
            None if path.is_empty() => Err("the request body should be an object".to_owned()),
            None => Err(format!("{path} should be an object")),
        }
    }

    pub(crate) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(crate) fn own_path(&self) -> &str {
        &self.path
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.members.iter()
    }

    pub(crate) fn require(&self, key: &str) -> Checked {
        if self.has(key) { Ok(()) } else { Err(format!("{} is required", self.path(key))) }
    }

    pub(crate) fn object(&self, key: &str) -> Checked<Option<Object<'a>>> {
        self.get(key).map(|value| Object::new(value, self.path(key))).transpose()
    }

    pub(crate) fn array(&self, key: &str) -> Checked<Option<&'a [Value]>> {
        let array = |value: &'a Value| {
            value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{} should be an array", self.path(key)))
        };
        self.get(key).map(array).transpose()
    }

    /// The objects of an array; none if it is absent.
    pub(crate) fn objects(&self, key: &str) -> Checked<Vec<Object<'a>>> {
        let items = self.array(key)?.unwrap_or_default().iter().enumerate();
        items.map(|(position, item)| Object::new(item, format!("{}[{position}]", self.path(key)))).collect()
    }

    pub(crate) fn text(&self, key: &str, max: usize) -> Checked<Option<&'a str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| format!("{} should be a string", self.path(key)))?;
        if text.chars().count() > max {
            return Err(format!("{} should have at most {max} characters", self.path(key)));
        }
        Ok(Some(text))
    }

    pub(crate) fn texts(&self, limits: &[(&str, usize)]) -> Checked {
        limits.iter().try_for_each(|(key, max)| self.text(key, *max).map(drop))
    }

    /// A text that has to be there and say something.
    pub(crate) fn required_text(&self, key: &str, max: usize) -> Checked<&'a str> {
        let text = self.text(key, max)?.ok_or_else(|| format!("{} is required", self.path(key)))?;
        self.not_blank(key, text).map(|()| text)
    }

    pub(crate) fn not_blank(&self, key: &str, text: &str) -> Checked {
        if text.trim().is_empty() { Err(format!("{} should not be blank", self.path(key))) } else { Ok(()) }
    }

    pub(crate) fn integer(&self, key: &str, min: i64, max: i64) -> Checked {
        match self.get(key) {
            None => Ok(()),
            Some(value) => match value.as_i64() {
                Some(number) if (min..=max).contains(&number) => Ok(()),
                Some(_) => Err(format!("{} should be between {min} and {max}", self.path(key))),
                None => Err(format!("{} should be an integer", self.path(key))),
            },
        }
    }

    pub(crate) fn numbers(&self, keys: &[&str]) -> Checked {
        let wrong = keys.iter().find(|key| self.get(key).is_some_and(|value| !value.is_number()));
        wrong.map_or(Ok(()), |key| Err(format!("{} should be a number", self.path(key))))
    }

    pub(crate) fn non_negative(&self, key: &str) -> Checked {
        let negative = self.get(key).and_then(Value::as_f64).is_some_and(|number| number < 0.0);
        if negative { Err(format!("{} should not be negative", self.path(key))) } else { Ok(()) }
    }

    pub(crate) fn flags(&self, keys: &[&str]) -> Checked {
        let wrong = keys.iter().find(|key| self.get(key).is_some_and(|value| !value.is_boolean()));
        wrong.map_or(Ok(()), |key| Err(format!("{} should be a boolean", self.path(key))))
    }

    pub(crate) fn one_of(&self, key: &str, known: &[&str]) -> Checked {
        match self.text(key, usize::MAX)? {
            Some(text) if !known.contains(&text) => {
                Err(format!("{} should be one of {}", self.path(key), known.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

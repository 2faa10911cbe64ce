//! The C ABI of target-sdk.

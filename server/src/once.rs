//! The work of a command, on a runtime of its own.

/// Does `work` on this thread. A name that is still being looked up then is not waited for.
///
/// # Errors
/// When there can be no runtime.
pub(crate) fn once<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

//! All shared IO: log, execute, consume, dispatch, blobs, telemetry

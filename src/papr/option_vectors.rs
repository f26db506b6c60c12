//! Option vectors (placeholder filled in by the next commit).

//! GraphQL, uploads, media and partner streams over HTTP

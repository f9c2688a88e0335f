"""Stand-in for Cloudflare's API: R2 buckets and account tokens over a real S3 server."""

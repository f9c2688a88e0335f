"""How the bucket is reached, from whatever place; boto3 and the standard library only."""

"""How bucket and W&B are asked, from whatever place; boto3 and the standard library only."""

"""What the machine answers on its traffic port: status page, chat page, the model's API."""

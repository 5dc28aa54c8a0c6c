"""Files and folders that are whole or not there, and who may write them."""

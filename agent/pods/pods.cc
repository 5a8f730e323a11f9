// placeholder translation unit until the folder has one

module flywheel.local/pause

go 1.26

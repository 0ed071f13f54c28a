env | grep '^EIDER_' | grep -v '^EIDER_GUARD' | sort
cat "$EIDER_PARAMS"
exit 1
